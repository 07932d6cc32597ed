#include "checkpoint/safetensors.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "checkpoint/bytes.h"
#include "checkpoint/containers.h"
#include "runtime/text.h"

namespace visiontorch::checkpoint {

namespace {

constexpr uint64_t kLengthSize = 8;
constexpr size_t kLongestName = 4096;             // of a tensor's name or any other key
constexpr size_t kLongestText = size_t(8) << 20;  // of a metadata value

// Reads only the JSON that a header may contain: objects of a known shape, strings and whole numbers.
class HeaderReader {
 public:
  explicit HeaderReader(ByteReader& in, Budget& budget) : in_(in), budget_(budget) {}

  // Calls item(key) for each key of an object; item() must read the value.
  template <class Item>
  void object(const Item& item) {
    expect('{');
    if (accept('}')) return;
    do {
      std::string key = string(kLongestName);
      expect(':');
      item(std::move(key));
    } while (accept(','));
    expect('}');
  }

  // Calls item() for each item of an array; item() must read it.
  template <class Item>
  void array(const Item& item) {
    expect('[');
    if (accept(']')) return;
    do item();
    while (accept(','));
    expect(']');
  }

  int64_t integer() {
    if (peek() < '0' || peek() > '9') fail("a whole number of at least 0");
    int64_t value = 0;
    const bool is_zero = peek() == '0';
    for (int digits = 0; last_ >= '0' && last_ <= '9'; digits++) {
      if (is_zero && digits > 0) fail("a number without leading zeros");
      value = checked_add(checked_mul(value, 10, "a number of the header"), last_ - '0', "a number of the header");
      next();
    }
    return value;
  }

  std::string string(size_t longest) {
    expect('"');
    std::string text;
    while (last_ != '"') {
      if (last_ >= 0 && last_ < ' ') fail("text without control characters");
      if (last_ < 0) fail("the end of a string");
      if (text.size() >= longest) corrupt("a string of the header has more than " + std::to_string(longest) + " bytes");
      if (last_ == '\\') {
        escape(text);
      } else {
        text += static_cast<char>(last_);
        next_raw();
      }
    }
    next();
    if (!is_utf8(text)) corrupt("a string of the header is not UTF-8");
    budget_.charge(text.size() + sizeof(std::string));
    return text;
  }

  // Expects nothing but white space to follow.
  void end() {
    if (peek() >= 0) fail("the end of the header");
  }

  // Returns the next character that is not white space, or -1 at the end.
  int peek() {
    if (!started_) next();
    return last_;
  }

 private:
  void next_raw() {
    budget_.step();
    started_ = true;
    last_ = in_.remaining() > 0 ? static_cast<unsigned char>(in_.take(1)[0]) : -1;
  }
  void next() {
    do next_raw();
    while (last_ == ' ' || last_ == '\t' || last_ == '\n' || last_ == '\r');
  }

  bool accept(char character) {
    if (peek() != character) return false;
    character == '"' ? next_raw() : next();
    return true;
  }
  void expect(char character) {
    if (!accept(character)) fail(std::string("'") + character + "'");
  }

  void escape(std::string& text) {
    next_raw();
    constexpr std::string_view kFrom = "\"\\/bfnrt", kTo = "\"\\/\b\f\n\r\t";
    if (last_ == 'u') {
      uint32_t code = hex();
      if (code >= 0xD800 && code < 0xDC00) {  // the first half of a pair
        const bool has_second = last_ == '\\' && (next_raw(), last_ == 'u');
        const uint32_t second = has_second ? hex() : 0;
        if (second < 0xDC00 || second >= 0xE000) fail("the second half of a surrogate pair");
        code = 0x10000 + ((code - 0xD800) << 10) + (second - 0xDC00);
      }
      append_utf8(text, code);  // is_utf8() detects a lone second half
    } else {
      const size_t found = last_ < 0 ? std::string_view::npos : kFrom.find(static_cast<char>(last_));
      if (found == std::string_view::npos) fail("an escape sequence of JSON");
      text += kTo[found];
      next_raw();
    }
  }

  // Reads the four digits after 'u'.
  uint32_t hex() {
    uint32_t code = 0;
    for (int i = 0; i < 4; i++) {
      next_raw();
      const int digit = last_ >= '0' && last_ <= '9'   ? last_ - '0'
                        : last_ >= 'a' && last_ <= 'f' ? last_ - 'a' + 10
                        : last_ >= 'A' && last_ <= 'F' ? last_ - 'A' + 10
                                                       : -1;
      if (digit < 0) fail("four hexadecimal digits");
      code = code << 4 | static_cast<uint32_t>(digit);
    }
    next_raw();
    return code;
  }

  static void append_utf8(std::string& text, uint32_t code) {
    auto add = [&](uint32_t byte) { text += static_cast<char>(byte); };
    if (code < 0x80) return add(code);
    if (code < 0x800) {
      add(0xC0 | code >> 6);
    } else if (code < 0x10000) {
      add(0xE0 | code >> 12);
      add(0x80 | (code >> 6 & 0x3F));
    } else {
      add(0xF0 | code >> 18);
      add(0x80 | (code >> 12 & 0x3F));
      add(0x80 | (code >> 6 & 0x3F));
    }
    add(0x80 | (code & 0x3F));
  }

  [[noreturn]] void fail(const std::string& expected) const {
    const char character = static_cast<char>(last_);
    corrupt("expected " + expected + " at byte " + std::to_string(in_.offset() - (last_ < 0 ? 0 : 1)) +
            " of the header, got " + (last_ < 0 ? "its end" : in_quotes({&character, 1})));
  }

  ByteReader& in_;
  Budget& budget_;
  bool started_ = false;
  int last_ = -1;  // the next character, not consumed yet
};

// The entry of one tensor.
struct Entry {
  std::string name;
  std::optional<at::ScalarType> dtype;
  std::optional<std::vector<int64_t>> shape;
  std::optional<std::pair<int64_t, int64_t>> range;  // of bytes in the data: [first, second)
};

at::ScalarType read_dtype(HeaderReader& in, const std::string& name) {
  const std::string text = in.string(kLongestName);
  for (const auto& [known, type] : kSafetensorsTypes)
    if (text == known) return type;
  // Types smaller than a byte: their shapes count elements, unlike those of PyTorch's packed types.
  if (text == "F4" || text.starts_with("F6_"))
    throw Error("ERR_CHECKPOINT_UNSUPPORTED", "tensor " + in_quotes(name) + " is of type " + text +
                                                  ", which is not supported. Save it as another type, such as float32");
  corrupt("tensor " + in_quotes(name) + " has the unknown type " + in_quotes(text));
}

std::vector<int64_t> read_integers(HeaderReader& in, size_t most) {
  std::vector<int64_t> values;
  in.array([&] {
    if (values.size() == most) corrupt("a list of the header has more than " + std::to_string(most) + " numbers");
    values.push_back(in.integer());
  });
  return values;
}

Entry read_entry(HeaderReader& in, std::string name) {
  constexpr size_t kMostDimensions = 64;
  Entry entry;
  entry.name = std::move(name);
  auto once = [&](const std::string& field, bool is_new) {
    if (!is_new) corrupt("tensor " + in_quotes(entry.name) + " has " + in_quotes(field) + " twice");
  };
  in.object([&](const std::string& field) {
    if (field == "dtype") {
      once(field, !entry.dtype);
      entry.dtype = read_dtype(in, entry.name);
    } else if (field == "shape") {
      once(field, !entry.shape);
      entry.shape = read_integers(in, kMostDimensions);
    } else if (field == "data_offsets") {
      once(field, !entry.range);
      const std::vector<int64_t> offsets = read_integers(in, 2);
      if (offsets.size() != 2 || offsets[0] > offsets[1])
        corrupt("the data_offsets of tensor " + in_quotes(entry.name) + " are not a start and an end");
      entry.range = {offsets[0], offsets[1]};
    } else {
      corrupt("tensor " + in_quotes(entry.name) + " has the unknown field " + in_quotes(field));
    }
  });
  if (!entry.dtype || !entry.shape || !entry.range)
    corrupt("tensor " + in_quotes(entry.name) + " lacks its dtype, shape or data_offsets");
  return entry;
}

Value read_metadata(HeaderReader& in, Arena& arena) {
  Value metadata = arena.dict();
  in.object([&](std::string key) {
    if (in.peek() != '"') corrupt("the metadata " + in_quotes(key) + " is not a string");
    arena.budget().charge(2 * sizeof(Value));
    metadata.as_dict().emplace_back(Value(std::move(key)), Value(in.string(kLongestText)));
  });
  return metadata;
}

// The range of each tensor and its name, to find overlaps and gaps.
struct Range {
  int64_t begin, end;
  const std::string* name;
};

void check_ranges(std::vector<Range> ranges, int64_t size) {
  std::sort(ranges.begin(), ranges.end(),
            [](const Range& a, const Range& b) { return std::pair(a.begin, a.end) < std::pair(b.begin, b.end); });
  int64_t at = 0;
  for (const auto& [begin, end, name] : ranges) {
    if (begin < at) corrupt("the data of tensor " + in_quotes(*name) + " overlaps that of another tensor");
    if (begin > at)
      corrupt(std::to_string(begin - at) + " bytes before the data of tensor " + in_quotes(*name) +
              " do not belong to any tensor");
    if (end > size)
      corrupt("the data of tensor " + in_quotes(*name) + " ends at byte " + std::to_string(end) +
              ", but the file has " + std::to_string(size) + " bytes of data");
    at = end;
  }
  if (at < size) corrupt(std::to_string(size - at) + " bytes at the end of the file do not belong to any tensor");
}

}  // namespace

bool is_safetensors(std::string_view head) {
  // A text file does not match: the upper bytes of any plausible length are zeros.
  if (head.size() <= kLengthSize || head[kLengthSize] != '{') return false;
  const std::string_view length = head.substr(0, kLengthSize);
  return !std::all_of(length.begin(), length.end(), [](char c) { return c >= '\t' && c < 0x7F; });
}

Value read_safetensors(const InputFile& file, Storages& storages, Arena& arena) {
  const auto length = ByteReader(file, 0, file.size(), "the file").number<uint64_t>();
  if (length > kLongestHeader)
    corrupt("the file says that its header has " + std::to_string(length) + " bytes, but a header may have at most " +
            std::to_string(kLongestHeader));
  if (length > file.size() - kLengthSize)
    corrupt("the file says that its header has " + std::to_string(length) + " bytes, but only " +
            std::to_string(file.size() - kLengthSize) + " follow");
  const uint64_t data = kLengthSize + length;
  ByteReader in(file, kLengthSize, data, "the header");
  HeaderReader header(in, arena.budget());
  Value root = arena.dict(Value::Kind::OrderedDict);
  std::vector<Range> ranges;
  header.object([&](std::string name) {
    Value value;
    if (name == kMetadata) {
      value = read_metadata(header, arena);
    } else {
      constexpr uint64_t kTensor = 512;  // an entry, a storage and a tensor
      arena.budget().allow_storages(1);
      arena.budget().charge(kTensor);
      Entry entry = read_entry(header, name);
      int64_t numel = 1;
      for (int64_t size : *entry.shape) numel = checked_mul(numel, size, "the number of elements of a tensor");
      const auto itemsize = static_cast<int64_t>(c10::elementSize(*entry.dtype));
      const auto [begin, end] = *entry.range;
      if (checked_mul(numel, itemsize, "the size of a tensor") != end - begin)
        corrupt("tensor " + in_quotes(name) + " has " + std::to_string(end - begin) +
                " bytes of data, but its shape and type need " + std::to_string(numel * itemsize));
      auto storage = storages.refer(std::to_string(ranges.size()), entry.dtype, numel);
      std::vector<int64_t> strides(entry.shape->size());
      for (size_t i = strides.size(), stride = 1; i-- > 0;) {
        strides[i] = static_cast<int64_t>(stride);
        stride *= static_cast<size_t>(std::max<int64_t>((*entry.shape)[i], 1));
      }
      storages.locate(storage->index, data + static_cast<uint64_t>(begin));
      value = Storages::tensor(*storage, *entry.dtype, 0, std::move(*entry.shape), std::move(strides));
      ranges.push_back({begin, end, nullptr});
    }
    root.as_dict().emplace_back(Value(std::move(name)), std::move(value));
  });
  header.end();
  size_t next = 0;
  for (const auto& [name, value] : root.as_dict())
    if (value.kind() == Value::Kind::Opaque) ranges[next++].name = &name.as_string();
  check_ranges(std::move(ranges), static_cast<int64_t>(file.size() - data));
  return root;
}

}  // namespace visiontorch::checkpoint
