#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace visiontorch {

// An error that reaches JavaScript as a VisionTorchError with this code. The message says what was expected, what came
// and what to do; users see it unchanged.
class Error : public std::runtime_error {
 public:
  Error(std::string code, const std::string& message) : std::runtime_error(message), code_(std::move(code)) {}
  const std::string& code() const noexcept { return code_; }

 private:
  std::string code_;
};

}  // namespace visiontorch
