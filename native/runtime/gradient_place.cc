#include "runtime/gradient_place.h"

#include <mutex>
#include <unordered_map>

namespace visiontorch {

namespace {

std::mutex mutex;
std::unordered_map<const c10::TensorImpl*, at::Tensor> places;

}  // namespace

void set_gradient_place(const at::Tensor& parameter, const at::Tensor& place) {
  const std::scoped_lock lock(mutex);
  if (place.defined())
    places[parameter.unsafeGetTensorImpl()] = place;
  else
    places.erase(parameter.unsafeGetTensorImpl());
}

at::Tensor take_gradient_place(const at::Tensor& parameter) {
  const std::scoped_lock lock(mutex);
  const auto place = places.extract(parameter.unsafeGetTensorImpl());
  // Autograd keeps a gradient if nothing else refers to it, and otherwise copies it.
  return place ? place.mapped().detach() : at::Tensor();
}

}  // namespace visiontorch
