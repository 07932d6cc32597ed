#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace visiontorch {

// Makes a string from a file safe for an error message: at most `longest` characters of its UTF-8 text, with control,
// format and bidirectional characters escaped as \u{9b} and bytes that are not UTF-8 as \x{ff}. The counterpart of
// lib/util/text.ts.
std::string printable(std::string_view text, size_t longest = 200);

// Returns printable(text) in single quotes.
std::string in_quotes(std::string_view text, size_t longest = 200);

// Returns whether the text is valid UTF-8.
bool is_utf8(std::string_view text);

}  // namespace visiontorch
