#include "checkpoint/state_dict.h"

#include <ATen/ATen.h>

#include <string_view>
#include <unordered_map>

#include "runtime/error.h"

namespace visiontorch::checkpoint {

namespace {

// DataParallel, DistributedDataParallel and torch.compile put these before every name.
std::string_view strip_prefixes(std::string_view name) {
  for (bool stripped = true; stripped;) {
    stripped = false;
    for (std::string_view prefix : {"module.", "_orig_mod."})
      if (name.starts_with(prefix)) {
        name.remove_prefix(prefix.size());
        stripped = true;
      }
  }
  return name;
}

using Specs = std::unordered_map<std::string, const TensorSpec*>;

bool holds_tensors(const Value& value) {
  if (!value.is_dict()) return false;
  for (const auto& [key, item] : value.as_dict())
    if (item.as_opaque<TensorSpec>()) return true;
  return false;
}

const Value& find_state_dict(const Value& root) {
  if (holds_tensors(root)) return root;
  for (const char* wrapper : {"state_dict", "model_state_dict", "model", "net", "network", "weights"})
    if (const Value* inner = root.find(wrapper))
      if (inner->is_dict()) return find_state_dict(*inner);
  throw Error("ERR_CHECKPOINT_MISMATCH",
              "expected a state_dict (a dictionary of names and tensors), at the top or under 'state_dict', 'model', "
              "'model_state_dict' or 'net'; found none. `visiontorch inspect FILE` shows what the file holds");
}

}  // namespace

Value state_dict(nn::Network& network) {
  Value::Dict items;
  for (const nn::Entry& entry : network.entries())
    items.emplace_back(Value(entry.name), Value(entry.tensor->detach().contiguous()));
  return Value::dict(std::move(items), Value::Kind::OrderedDict);
}

LoadReport load_state_dict(nn::Network& network, File& file, const Value& root) {
  Specs specs;
  LoadReport report;
  std::vector<std::string> order;
  for (const auto& [key, value] : find_state_dict(root).as_dict()) {
    auto* spec = value.as_opaque<TensorSpec>();
    if (key.kind() != Value::Kind::String || spec == nullptr) continue;
    std::string name(strip_prefixes(key.as_string()));
    order.push_back(name);
    specs.insert_or_assign(std::move(name), spec);
  }

  std::vector<at::Tensor*> targets;
  std::vector<const TensorSpec*> sources;
  for (nn::Entry& entry : network.entries()) {
    auto found = specs.extract(entry.name);
    if (found.empty()) {
      // Files older than PyTorch 0.4.1 have no such counter; nothing is lost without it.
      if (!entry.name.ends_with("num_batches_tracked")) report.missing.push_back(entry.name);
      continue;
    }
    const TensorSpec& spec = *found.mapped();
    if (entry.tensor->sizes() != at::IntArrayRef(spec.sizes)) {
      report.mismatched.push_back({entry.name, entry.tensor->sizes().vec(), spec.sizes});
      continue;
    }
    targets.push_back(entry.tensor);
    sources.push_back(&spec);
    report.loaded.push_back(entry.name);
  }
  for (const std::string& name : order)
    if (specs.contains(name)) report.unexpected.push_back(name);

  const std::vector<at::Tensor> tensors = file.read(sources);
  for (size_t i = 0; i < tensors.size(); i++) {
    at::Tensor& target = *targets[i];
    if ((target.is_cpu() || target.is_meta()) && !target.requires_grad()) {
      target = tensors[i].to(target.scalar_type());
    } else {
      target.detach().copy_(tensors[i]);
    }
  }
  return report;
}

}  // namespace visiontorch::checkpoint
