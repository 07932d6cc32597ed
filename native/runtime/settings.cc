#include "runtime/settings.h"

#include <ATen/Context.h>

namespace visiontorch {

namespace {

class SilentWarnings : public c10::WarningHandler {
 public:
  void process(const c10::Warning&) override {}
};

SilentWarnings silent;

}  // namespace

WarningsDropped::WarningsDropped() : guard_(&silent) {}

void configure_libtorch() {
  c10::WarningUtils::set_warning_handler(&silent);
  at::globalContext().setUserEnabledNNPACK(false);
  at::globalContext().setDeterministicCuDNN(true);
}

}  // namespace visiontorch
