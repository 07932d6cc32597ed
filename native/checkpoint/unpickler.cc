#include "checkpoint/unpickler.h"

#include <bit>
#include <charconv>

#include "checkpoint/globals.h"

namespace visiontorch::checkpoint {

namespace {

constexpr uint32_t kMaxMemo = 2'000'000;
constexpr size_t kMaxDigits = 100;
constexpr size_t kMaxName = 1024;

// The opcodes of Python's pickletools that are accepted, by their names there.
enum Opcode : uint8_t {
  PROTO = 0x80,
  STOP = '.',
  MARK = '(',
  FRAME = 0x95,
  GLOBAL = 'c',
  STACK_GLOBAL = 0x93,
  NEWOBJ = 0x81,
  REDUCE = 'R',
  BUILD = 'b',
  BINPERSID = 'Q',
  APPEND = 'a',
  APPENDS = 'e',
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
  NONE = 'N',
  NEWTRUE = 0x88,
  NEWFALSE = 0x89,
  INT = 'I',
  LONG = 'L',
  BININT = 'J',
  BININT1 = 'K',
  BININT2 = 'M',
  LONG1 = 0x8A,
  BINFLOAT = 'G',
  BINSTRING = 'T',
  SHORT_BINSTRING = 'U',
  BINUNICODE = 'X',
  SHORT_BINUNICODE = 0x8C,
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

// Opcodes of pickle that could build objects or hide values, and that no checkpoint of tensors needs.
bool is_forbidden(uint8_t opcode) {
  return std::string_view(
             "012iodlFSVPpg\x82\x83\x84\x8B\x8D\x8E\x90\x91\x92\x96\x97\x98"
             "BC")
             .find(static_cast<char>(opcode)) != std::string_view::npos;
}

}  // namespace

void Unpickler::fail(const std::string& what) const {
  corrupt(what + " at byte " + std::to_string(at_) + " of " + in_.what());
}

Value Unpickler::load() {
  while (true) {
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
    case MARK: arena_.count(1); return marks_.push_back(stack_.size());
    case GLOBAL: {
      std::string_view module = in_.line(kMaxName), name = in_.line(kMaxName);
      return push_global(module, name);
    }
    case STACK_GLOBAL: {
      Value name = pop(), module = pop();
      if (name.kind() != Value::Kind::String || module.kind() != Value::Kind::String) fail("a global without a name");
      return push_global(module.as_string(), name.as_string());
    }
    case REDUCE:
    case NEWOBJ: return reduce();
    case BUILD: return build();
    case BINPERSID: {
      if (!persistent_load_) fail("a reference to data, where none may be,");
      Value id = pop();
      return push(persistent_load_(id));
    }
    case APPEND: {
      Value item = pop();
      return append({std::move(item)});
    }
    case APPENDS: return append(pop_to_mark());
    case SETITEM: {
      Value value = pop(), key = pop();
      return set_items({std::move(key), std::move(value)});
    }
    case SETITEMS: return set_items(pop_to_mark());
    case EMPTY_TUPLE: return push(arena_.list({}, Value::Kind::Tuple));
    case TUPLE: return push(arena_.list(pop_to_mark(), Value::Kind::Tuple));
    case TUPLE1: return tuple(1);
    case TUPLE2: return tuple(2);
    case TUPLE3: return tuple(3);
    case EMPTY_SET:
    case EMPTY_LIST: return push(arena_.list({}));
    case EMPTY_DICT: return push(arena_.dict(Value::Kind::Dict));
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
    case BINSTRING:
    case BINUNICODE: return push(in_.take(in_.number<uint32_t>()));
    case SHORT_BINSTRING:
    case SHORT_BINUNICODE: return push(in_.take(in_.number<uint8_t>()));
    case BINPUT: return put(in_.number<uint8_t>());
    case LONG_BINPUT: return put(in_.number<uint32_t>());
    case MEMOIZE: return put(static_cast<uint32_t>(memo_.size()));
    case BINGET: return get(in_.number<uint8_t>());
    case LONG_BINGET: return get(in_.number<uint32_t>());
    default: break;
  }
  if (is_forbidden(opcode)) {
    throw Error("ERR_CHECKPOINT_UNSAFE", "the pickle uses the opcode " + hex(opcode) + " at byte " +
                                             std::to_string(at_) + " of " + in_.what() +
                                             ", which checkpoints of tensors do not need. Nothing was run");
  }
  fail("no pickle: " + hex(opcode) + " is not an opcode,");
}

void Unpickler::push(Value value) {
  arena_.count(1);
  stack_.push_back(std::move(value));
}

Value Unpickler::pop() {
  if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) fail("the pickle takes a value that is not there");
  Value value = std::move(stack_.back());
  stack_.pop_back();
  return value;
}

Value& Unpickler::top() {
  if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) fail("the pickle uses a value that is not there");
  return stack_.back();
}

Value::List Unpickler::pop_to_mark() {
  if (marks_.empty()) fail("the pickle closes what it did not open");
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
  if (index >= kMaxMemo) fail("memo index " + std::to_string(index) + " is beyond " + std::to_string(kMaxMemo));
  arena_.count(1);
  memo_[index] = top();
}

void Unpickler::get(uint32_t index) {
  auto found = memo_.find(index);
  if (found == memo_.end()) fail("memo index " + std::to_string(index) + " was not stored before it is used");
  push(found->second);
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
  std::string bytes(kMaxDigits / 2 + 1, '\0');  // ten digits need less than five bytes; one more for the sign
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
  // Without the bytes that only repeat the sign.
  while (bytes.size() > 1 && is_sign(bytes.back(), static_cast<int8_t>(bytes[bytes.size() - 2]) < 0))
    bytes.remove_suffix(1);
  if (bytes.size() > 8) return push(Value::BigInt{std::make_shared<const std::string>(bytes)});
  bool negative = !bytes.empty() && static_cast<int8_t>(bytes.back()) < 0;
  uint64_t number = negative ? ~uint64_t{0} : 0;
  for (size_t i = bytes.size(); i-- > 0;) number = number << 8 | static_cast<uint8_t>(bytes[i]);
  push(static_cast<int64_t>(number));
}

void Unpickler::push_global(std::string_view module, std::string_view name) {
  push(find_global(module, name, in_.what(), at_));
}

void Unpickler::reduce() {
  Value arguments = pop(), callable = pop();
  auto* global = callable.as_opaque<Global>();
  if (global == nullptr || arguments.kind() != Value::Kind::Tuple) fail("a call of what is no function");
  push(call(*global, arguments.as_list(), arena_));
}

// A state dict's `_metadata` (the versions of its modules) is all that BUILD may add. Nothing here depends on it.
void Unpickler::build() {
  Value state = pop();
  bool is_metadata = state.is_dict() && state.as_dict().size() == 1 && state.find("_metadata") != nullptr;
  if (top().kind() != Value::Kind::OrderedDict || !is_metadata) {
    throw Error("ERR_CHECKPOINT_UNSUPPORTED",
                "the pickle sets the attributes of an object at byte " + std::to_string(at_) + " of " + in_.what() +
                    ". In Python, save plain values and tensors only: torch.save(model.state_dict(), path)");
  }
}

void Unpickler::append(Value::List items) {
  if (top().kind() != Value::Kind::List) fail("a value is appended to what is no list");
  arena_.count(items.size());
  Value::List& list = top().as_list();
  list.insert(list.end(), std::make_move_iterator(items.begin()), std::make_move_iterator(items.end()));
}

void Unpickler::set_items(Value::List items) {
  if (!top().is_dict()) fail("an item is set in what is no dictionary");
  if (items.size() % 2 != 0) fail("a key without a value");
  arena_.count(items.size());
  Value::Dict& dict = top().as_dict();
  for (size_t i = 0; i < items.size(); i += 2) dict.emplace_back(std::move(items[i]), std::move(items[i + 1]));
}

}  // namespace visiontorch::checkpoint
