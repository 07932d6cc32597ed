#include "runtime/settings.h"

#include <ATen/Context.h>
#include <c10/util/Exception.h>

namespace visiontorch {

namespace {

class SilentWarnings : public c10::WarningHandler {
 public:
  void process(const c10::Warning&) override {}
};

}  // namespace

void configure_libtorch() {
  static SilentWarnings silent;
  c10::WarningUtils::set_warning_handler(&silent);
  at::globalContext().setUserEnabledNNPACK(false);
  at::globalContext().setDeterministicCuDNN(true);
}

}  // namespace visiontorch
