#include "distributed/gradients.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <functional>

#include "runtime/gradient_place.h"

namespace visiontorch::distributed {

namespace {

constexpr int64_t kBucketElements = 25 * 1024 * 1024 / 4;  // 25 MB of float32, as in PyTorch's DistributedDataParallel

struct Bucket {
  std::vector<at::Tensor> parameters;
  std::vector<at::Tensor> sums;  // parts of `flat`, each with the strides of its parameter
  at::Tensor flat;               // float32: the gradients, and for each parameter whether it has one (1 or 0)
  size_t complete = 0;           // gradients that this rank's last backward pass has computed
  Wait wait = nullptr;           // once started

  at::Tensor flags() { return flat.narrow(0, flat.numel() - std::ssize(parameters), std::ssize(parameters)); }

  void allocate() {
    int64_t total = std::ssize(parameters);
    for (const at::Tensor& parameter : parameters) total += parameter.numel();
    flat = at::zeros({total}, parameters[0].options().requires_grad(false));
    int64_t offset = 0;
    for (const at::Tensor& parameter : parameters) {
      sums.push_back(flat.as_strided(parameter.sizes(), parameter.strides(), offset));
      offset += parameter.numel();
    }
  }

  void start(ProcessGroup& group) {
    const at::NoGradGuard no_grad;
    std::vector<float> has_gradient;
    for (size_t i = 0; i < parameters.size(); i++) {
      const at::Tensor& gradient = parameters[i].grad();
      has_gradient.push_back(gradient.defined() ? 1 : 0);
      if (!gradient.defined())
        sums[i].zero_();
      else if (gradient.const_data_ptr() != sums[i].const_data_ptr())
        sums[i].copy_(gradient);
    }
    flags().copy_(at::tensor(has_gradient));
    wait = group.start_sum(flat);
  }

  // Lets the next backward pass compute the gradients in `flat`.
  void offer_places() {
    for (size_t i = 0; i < parameters.size(); i++) set_gradient_place(parameters[i], sums[i]);
  }

  void finish() {
    wait();
    wait = nullptr;
    complete = 0;
    const at::Tensor ranks = flags().cpu();
    for (size_t i = 0; i < parameters.size(); i++) {
      if (ranks[static_cast<int64_t>(i)].item<float>() > 0)
        parameters[i].mutable_grad() = sums[i];
      else
        parameters[i].mutable_grad().reset();
    }
    offer_places();
  }
};

class Hook : public torch::autograd::PostAccumulateGradHook {
 public:
  explicit Hook(std::function<void()> call) : call_(std::move(call)) {}
  void operator()(const torch::autograd::Variable&) override { call_(); }

 private:
  std::function<void()> call_;
};

}  // namespace

struct GradientSums::Buckets {
  std::shared_ptr<ProcessGroup> group;
  std::vector<Bucket> list;
  size_t started =
      0;  // the number of started buckets, always the first ones: all ranks must start them in the same order
  bool overlapping = false;  // whether gradients are the last ones of this rank

  void complete(size_t index) {
    if (!overlapping) return;
    list[index].complete++;
    while (started < list.size() && list[started].complete == list[started].parameters.size())
      list[started++].start(*group);
  }
};

GradientSums::GradientSums(std::shared_ptr<ProcessGroup> group, const std::vector<at::Tensor>& parameters)
    : buckets_(std::make_unique<Buckets>()) {
  buckets_->group = std::move(group);
  std::vector<Bucket>& list = buckets_->list;
  int64_t elements = 0;
  for (auto parameter = parameters.rbegin(); parameter != parameters.rend(); ++parameter) {
    if (list.empty() || elements + parameter->numel() > kBucketElements) {
      list.emplace_back();
      elements = 0;
    }
    list.back().parameters.push_back(*parameter);
    elements += parameter->numel();
  }
  for (size_t i = 0; i < list.size(); i++) {
    list[i].allocate();
    list[i].offer_places();
    for (const at::Tensor& parameter : list[i].parameters)
      torch::autograd::impl::set_post_acc_grad_hooks(
          parameter, std::make_unique<Hook>([buckets = buckets_.get(), i] { buckets->complete(i); }));
  }
}

GradientSums::~GradientSums() {
  for (const Bucket& bucket : buckets_->list)
    for (const at::Tensor& parameter : bucket.parameters) {
      torch::autograd::impl::set_post_acc_grad_hooks(parameter, nullptr);
      set_gradient_place(parameter, {});
    }
}

void GradientSums::begin() { buckets_->overlapping = true; }

void GradientSums::finish() {
  Buckets& buckets = *buckets_;
  buckets.overlapping = false;
  while (buckets.started < buckets.list.size()) buckets.list[buckets.started++].start(*buckets.group);
  for (Bucket& bucket : buckets.list) bucket.finish();
  buckets.started = 0;
}

}  // namespace visiontorch::distributed
