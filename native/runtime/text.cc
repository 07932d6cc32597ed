#include "runtime/text.h"

#include <cstdint>
#include <cstdio>

namespace visiontorch {

namespace {

struct Character {
  uint32_t code;
  size_t bytes;  // 0: the first byte does not start a UTF-8 character
};

Character first_character(std::string_view text) {
  const auto lead = static_cast<uint8_t>(text[0]);
  if (lead < 0x80) return {lead, 1};
  const size_t bytes = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || bytes > text.size()) return {lead, 0};
  uint32_t code = lead & (0x7F >> bytes);
  for (size_t i = 1; i < bytes; i++) {
    const auto byte = static_cast<uint8_t>(text[i]);
    if ((byte & 0xC0) != 0x80) return {lead, 0};
    code = code << 6 | (byte & 0x3F);
  }
  const bool is_overlong = code < (bytes == 3 ? 0x800u : bytes == 4 ? 0x10000u : 0x80u);
  const bool is_surrogate = code >= 0xD800 && code < 0xE000;
  if (is_overlong || is_surrogate || code > 0x10FFFF) return {lead, 0};
  return {code, bytes};
}

// Those characters of Unicode's categories Cc, Cf, Zl and Zp that can mislead a terminal or a reader. The zero-width
// joiner (U+200D) and non-joiner are allowed, because emoji and several scripts need them.
bool must_escape(uint32_t code) {
  struct Range {
    uint32_t first, last;
  };
  static constexpr Range kRanges[] = {
      {0, 0x1F},        {0x7F, 0x9F},     {0xAD, 0xAD},       {0x600, 0x605},     {0x61C, 0x61C},    {0x6DD, 0x6DD},
      {0x70F, 0x70F},   {0x180E, 0x180E}, {0x200B, 0x200B},   {0x200E, 0x200F},   {0x2028, 0x202E},  {0x2060, 0x206F},
      {0xFEFF, 0xFEFF}, {0xFFF9, 0xFFFB}, {0x110BD, 0x110BD}, {0x1D173, 0x1D17A}, {0xE0001, 0xE007F}};
  for (const auto& [first, last] : kRanges)
    if (code >= first && code <= last) return true;
  return false;
}

std::string escape(char kind, uint32_t code) {
  char buffer[16];
  std::snprintf(buffer, sizeof buffer, "\\%c{%x}", kind, code);
  return buffer;
}

}  // namespace

std::string printable(std::string_view text, size_t longest) {
  std::string result, last;  // `last` is dropped if another character follows the longest text
  for (size_t count = 0; !text.empty(); count++) {
    if (count == longest) return result + "…";
    result += last;
    const auto [code, bytes] = first_character(text);
    if (bytes == 0)
      last = escape('x', code);
    else
      last = must_escape(code) ? escape('u', code) : std::string(text.substr(0, bytes));
    text.remove_prefix(bytes == 0 ? 1 : bytes);
  }
  return result + last;
}

std::string in_quotes(std::string_view text, size_t longest) {
  std::string result = "'";
  result += printable(text, longest);
  result += '\'';
  return result;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const size_t bytes = first_character(text).bytes;
    if (bytes == 0) return false;
    text.remove_prefix(bytes);
  }
  return true;
}

}  // namespace visiontorch
