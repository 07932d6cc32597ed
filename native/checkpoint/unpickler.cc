#include "checkpoint/unpickler.h"

#include <bit>
#include <charconv>

#include "checkpoint/globals.h"

namespace visiontorch::checkpoint {

namespace {

constexpr size_t kMaxDigits = 100;
constexpr size_t kMaxName = 1024;
// The native memory that a string or a large int takes in addition to its text.
constexpr uint64_t kText = 64;
// The memory that a reference to a storage takes, with the storage's own record.
constexpr uint64_t kReference = 256;

// The accepted opcodes, with their names in Python's pickletools.
enum Opcode : uint8_t {
  PROTO = 0x80,
  STOP = '.',
  MARK = '(',
  FRAME = 0x95,
  GLOBAL = 'c',
  STACK_GLOBAL = 0x93,
  NEWOBJ = 0x81,
  NEWOBJ_EX = 0x92,
  REDUCE = 'R',
  BUILD = 'b',
  BINPERSID = 'Q',
  APPEND = 'a',
  APPENDS = 'e',
  ADDITEMS = 0x90,
  SETITEM = 's',
  SETITEMS = 'u',
  EMPTY_TUPLE = ')',
  TUPLE = 't',
  TUPLE1 = 0x85,
  TUPLE2 = 0x86,
  TUPLE3 = 0x87,
  EMPTY_LIST = ']',
  EMPTY_DICT = '}',
  EMPTY_SET = 0x8F,
  FROZENSET = 0x91,
  NONE = 'N',
  NEWTRUE = 0x88,
  NEWFALSE = 0x89,
  INT = 'I',
  LONG = 'L',
  BININT = 'J',
  BININT1 = 'K',
  BININT2 = 'M',
  LONG1 = 0x8A,
  LONG4 = 0x8B,
  BINFLOAT = 'G',
  BINSTRING = 'T',
  SHORT_BINSTRING = 'U',
  BINUNICODE = 'X',
  SHORT_BINUNICODE = 0x8C,
  BINUNICODE8 = 0x8D,
  BINBYTES = 'B',
  SHORT_BINBYTES = 'C',
  BINBYTES8 = 0x8E,
  BYTEARRAY8 = 0x96,
  POP = '0',
  POP_MARK = '1',
  BINPUT = 'q',
  LONG_BINPUT = 'r',
  MEMOIZE = 0x94,
  BINGET = 'h',
  LONG_BINGET = 'j',
};

std::string hex(uint8_t opcode) {
  static const char* kDigits = "0123456789ABCDEF";
  return {'0', 'x', kDigits[opcode >> 4], kDigits[opcode & 15]};
}

// The other opcodes of pickle: DUP, INST, OBJ, the text forms of protocol 0, the EXT registry, and out-of-band buffers.
// torch.save does not write them, and Python's restricted loader does not accept them.
bool is_other_opcode(uint8_t opcode) {
  return std::string_view("2iodlFSVPpg\x82\x83\x84\x97\x98").find(static_cast<char>(opcode)) != std::string_view::npos;
}

}  // namespace

void Unpickler::fail(const std::string& what) const {
  corrupt(what + " at byte " + std::to_string(at_) + " of " + in_.what());
}

Value Unpickler::load() {
  while (true) {
    budget_.step();
    at_ = in_.offset();
    auto opcode = in_.number<uint8_t>();
    if (opcode == STOP) break;
    execute(opcode);
  }
  if (stack_.size() != 1 || !marks_.empty()) fail("the pickle ends with an unfinished value");
  Value result = pop();
  memo_.clear();
  return result;
}

void Unpickler::execute(uint8_t opcode) {
  switch (opcode) {
    case PROTO:
      if (in_.number<uint8_t>() > 5) fail("a pickle protocol above 5");
      return;
    case FRAME:
      if (in_.number<uint64_t>() > in_.remaining()) fail("a frame that is longer than the file");
      return;
    case MARK: return mark();
    case GLOBAL: {
      std::string_view module = in_.line(kMaxName), name = in_.line(kMaxName);
      return push_global(module, name);
    }
    case STACK_GLOBAL: {
      Value name = pop(), module = pop();
      if (name.kind() != Value::Kind::String || module.kind() != Value::Kind::String) fail("a global without a name");
      if (name.as_string().size() > kMaxName || module.as_string().size() > kMaxName)
        fail("a global with a name of more than " + std::to_string(kMaxName) + " bytes");
      return push_global(module.as_string(), name.as_string());
    }
    case REDUCE: return reduce();
    case NEWOBJ_EX:  // with keyword arguments
      if (!pop().is_dict()) fail("NEWOBJ_EX without keyword arguments");
      [[fallthrough]];
    case NEWOBJ: return new_object();
    case BUILD: return build();
    case BINPERSID: {
      if (!persistent_load_) fail("an unexpected reference to a storage");
      Value id = pop();
      budget_.charge(kReference);
      return push(persistent_load_(id));
    }
    case APPEND: {
      Value item = pop();
      return append({std::move(item)});
    }
    case APPENDS:
    case ADDITEMS: return append(pop_to_mark());
    case FROZENSET: return push(arena_.list(pop_to_mark(), Value::Kind::Tuple));
    case SETITEM: {
      Value value = pop(), key = pop();
      return set_items({std::move(key), std::move(value)});
    }
    case SETITEMS: return set_items(pop_to_mark());
    case EMPTY_TUPLE: return push(arena_.empty_tuple());
    case TUPLE: return push(arena_.list(pop_to_mark(), Value::Kind::Tuple));
    case TUPLE1: return tuple(1);
    case TUPLE2: return tuple(2);
    case TUPLE3: return tuple(3);
    case EMPTY_SET:
    case EMPTY_LIST: return push(arena_.list({}));
    case EMPTY_DICT: return push(arena_.dict());
    case NONE: return push({});
    case NEWTRUE: return push(true);
    case NEWFALSE: return push(false);
    case INT: return push_int_text();
    case LONG: return push_long_text();
    case BININT: return push(static_cast<int64_t>(in_.number<int32_t>()));
    case BININT1: return push(static_cast<int64_t>(in_.number<uint8_t>()));
    case BININT2: return push(static_cast<int64_t>(in_.number<uint16_t>()));
    case LONG1: return push_long_bytes(in_.take(in_.number<uint8_t>()));
    case BINFLOAT: return push(std::bit_cast<double>(__builtin_bswap64(in_.number<uint64_t>())));
    case LONG4: return push_long_bytes(in_.take(in_.number<uint32_t>()));
    case BINSTRING:
    case BINUNICODE: return push_string(in_.take(in_.number<uint32_t>()));
    case SHORT_BINSTRING:
    case SHORT_BINUNICODE: return push_string(in_.take(in_.number<uint8_t>()));
    case BINUNICODE8: return push_string(in_.take(in_.number<uint64_t>()));
    case SHORT_BINBYTES: return push(make_bytes(in_.take(in_.number<uint8_t>()), budget_));
    case BINBYTES: return push(make_bytes(in_.take(in_.number<uint32_t>()), budget_));
    case BINBYTES8:
    case BYTEARRAY8: return push(make_bytes(in_.take(in_.number<uint64_t>()), budget_));
    case POP:
      if (!marks_.empty() && stack_.size() == marks_.back())
        marks_.pop_back();
      else
        pop();
      return;
    case POP_MARK: pop_to_mark(); return;
    case BINPUT: return put(in_.number<uint8_t>());
    case LONG_BINPUT: return put(in_.number<uint32_t>());
    case MEMOIZE: return put(static_cast<uint32_t>(memo_.size()));
    case BINGET: return get(in_.number<uint8_t>());
    case LONG_BINGET: return get(in_.number<uint32_t>());
    default: break;
  }
  if (is_other_opcode(opcode)) {
    throw Error("ERR_CHECKPOINT_UNSAFE",
                "the pickle uses the opcode " + hex(opcode) + " at byte " + std::to_string(at_) + " of " + in_.what() +
                    ", which torch.save does not write. Nothing was run. If you trust the file, save it again in "
                    "Python: torch.save(torch.load(path, weights_only=False), new_path)");
  }
  fail(hex(opcode) + " is not an opcode of pickle,");
}

void Unpickler::charge_depth() {
  if (stack_.size() + marks_.size() <= deepest_) return;
  deepest_ = stack_.size() + marks_.size();
  budget_.charge(2 * sizeof(Value));
}

void Unpickler::mark() {
  marks_.push_back(stack_.size());
  charge_depth();
}

void Unpickler::push(Value value) {
  stack_.push_back(std::move(value));
  charge_depth();
}

void Unpickler::push_string(std::string_view text) {
  budget_.charge(kText + text.size());
  push(text);
}

Value Unpickler::pop() {
  if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) fail("the stack is empty");
  Value value = std::move(stack_.back());
  stack_.pop_back();
  return value;
}

Value& Unpickler::top() {
  if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) fail("the stack is empty");
  return stack_.back();
}

Value::List Unpickler::pop_to_mark() {
  if (marks_.empty()) fail("the stack has no mark");
  auto first = stack_.begin() + static_cast<ptrdiff_t>(marks_.back());
  Value::List items(std::make_move_iterator(first), std::make_move_iterator(stack_.end()));
  stack_.erase(first, stack_.end());
  marks_.pop_back();
  return items;
}

void Unpickler::tuple(size_t count) {
  Value::List items(count);
  for (size_t i = count; i-- > 0;) items[i] = pop();
  push(arena_.list(std::move(items), Value::Kind::Tuple));
}

void Unpickler::put(uint32_t index) {
  // Python counts memo entries from 0 or 1, and writes at least two bytes for each.
  if (index > in_.offset()) fail("memo index " + std::to_string(index) + " is beyond what was read");
  if (index >= memo_.size()) {
    budget_.charge((index + 1 - memo_.size()) * sizeof(Value));
    memo_.resize(index + 1);
    is_stored_.resize(index + 1);
  }
  memo_[index] = top();
  is_stored_[index] = true;
}

void Unpickler::get(uint32_t index) {
  if (index >= memo_.size() || !is_stored_[index])
    fail("memo index " + std::to_string(index) + " is used before it was stored");
  push(memo_[index]);
}

void Unpickler::push_int_text() {
  std::string_view text = in_.line(kMaxDigits);
  if (text == "00" || text == "01") return push(text == "01");
  int64_t number;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) fail("a malformed number");
  push(number);
}

void Unpickler::push_long_text() {
  std::string_view text = in_.line(kMaxDigits);
  if (text.ends_with('L')) text.remove_suffix(1);
  bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  if (text.empty()) fail("a malformed number");
  std::string bytes(kMaxDigits / 2 + 1, '\0');  // ten digits need less than five bytes; the sign needs one more
  for (char digit : text) {
    if (digit < '0' || digit > '9') fail("a malformed number");
    unsigned carry = static_cast<unsigned>(digit - '0');
    for (char& byte : bytes) {
      carry += static_cast<uint8_t>(byte) * 10u;
      byte = static_cast<char>(carry);
      carry >>= 8;
    }
  }
  unsigned carry = 1;
  for (char& byte : bytes) {
    if (!negative) break;
    carry += static_cast<uint8_t>(~byte);
    byte = static_cast<char>(carry);
    carry >>= 8;
  }
  push_long_bytes(bytes);
}

void Unpickler::push_long_bytes(std::string_view bytes) {
  auto is_sign = [](char byte, bool negative) { return byte == (negative ? '\xFF' : '\0'); };
  // Drop the bytes that only repeat the sign.
  while (bytes.size() > 1 && is_sign(bytes.back(), static_cast<int8_t>(bytes[bytes.size() - 2]) < 0))
    bytes.remove_suffix(1);
  if (bytes.size() > 8) {
    budget_.charge(kText + bytes.size());
    return push(Value::big_int(std::string(bytes)));
  }
  bool negative = !bytes.empty() && static_cast<int8_t>(bytes.back()) < 0;
  uint64_t number = negative ? ~uint64_t{0} : 0;
  for (size_t i = bytes.size(); i-- > 0;) number = number << 8 | static_cast<uint8_t>(bytes[i]);
  push(static_cast<int64_t>(number));
}

void Unpickler::push_global(std::string_view module, std::string_view name) {
  push(find_global(module, name, {in_.what(), at_}, budget_));
}

void Unpickler::reduce() {
  Value arguments = pop(), callable = pop();
  if (arguments.kind() != Value::Kind::Tuple) fail("REDUCE without a tuple of arguments");
  push(call(callable, arguments.as_list(), {in_.what(), at_}, arena_));
}

void Unpickler::new_object() {
  Value arguments = pop(), type = pop();
  if (arguments.kind() != Value::Kind::Tuple) fail("NEWOBJ without a tuple of arguments");
  push(create(type, arguments.as_list(), {in_.what(), at_}, arena_));
}

void Unpickler::build() {
  Value state = pop();
  set_state(top(), state, {in_.what(), at_}, arena_);
}

// Returns the list or dictionary to which items are added: the value on top of the stack, or an object's `items`.
Value Unpickler::contents_of_top(bool is_dict) {
  Value& value = top();
  if (auto* object = value.as_opaque<Object>()) {
    if (object->items.identity() == nullptr) object->items = is_dict ? arena_.dict() : arena_.list({});
    return object->items;
  }
  return value;
}

void Unpickler::append(Value::List items) {
  Value target = contents_of_top(false);
  if (target.kind() != Value::Kind::List) fail("items are appended to a value that is not a list");
  budget_.charge(items.size() * sizeof(Value));
  Value::List& list = target.as_list();
  list.insert(list.end(), std::make_move_iterator(items.begin()), std::make_move_iterator(items.end()));
}

void Unpickler::set_items(Value::List items) {
  Value target = contents_of_top(true);
  if (!target.is_dict()) fail("items are set in a value that is not a dictionary");
  if (items.size() % 2 != 0) fail("a key without a value");
  budget_.charge(items.size() * sizeof(Value));
  Value::Dict& dict = target.as_dict();
  if (dict.empty()) dict.reserve(items.size() / 2);  // Python writes 1000 items at a time
  for (size_t i = 0; i < items.size(); i += 2) dict.emplace_back(std::move(items[i]), std::move(items[i + 1]));
}

}  // namespace visiontorch::checkpoint
