#include "train/parameter_groups.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

namespace visiontorch::train {

namespace {

// "features.0.weight" -> {"features.0", "weight"}
std::pair<std::string, std::string> split(const std::string& name) {
  const size_t dot = name.rfind('.');
  if (dot == std::string::npos) return {"", name};
  return {name.substr(0, dot), name.substr(dot + 1)};
}

bool is_embedding(const std::string& parameter) {
  return parameter == "class_token" || parameter == "pos_embedding" || parameter == "relative_position_bias_table";
}

std::optional<double> weight_decay_of(const nn::Entry& entry, const GroupOptions& options) {
  const std::string parameter = split(entry.name).second;
  if (options.bias_weight_decay && parameter == "bias") return options.bias_weight_decay;
  if (options.embedding_decay && is_embedding(parameter)) return options.embedding_decay;
  return entry.in_norm ? options.norm_weight_decay : std::nullopt;
}

}  // namespace

std::vector<ParameterGroup> parameter_groups(nn::Network& network, const GroupOptions& options) {
  const std::vector<nn::Stage> stages = nn::stages(network);
  std::unordered_map<std::string, size_t> stage_of_layer;
  for (size_t i = 0; i < stages.size(); i++)
    for (const std::string& layer : stages[i].layers) stage_of_layer.emplace(layer, i);
  auto scale_of = [&](const nn::Entry& entry) {
    if (!options.layer_decay || entry.in_classifier) return 1.0;
    const size_t stage = stage_of_layer.at(split(entry.name).first);
    return std::pow(*options.layer_decay, static_cast<double>(stages.size() - stage));
  };

  std::vector<ParameterGroup> groups;
  for (const nn::Entry& entry : network.entries()) {
    if (!entry.is_parameter) continue;
    const std::optional<double> weight_decay = weight_decay_of(entry, options);
    const double scale = scale_of(entry);
    auto group = std::find_if(groups.begin(), groups.end(), [&](const ParameterGroup& each) {
      return each.weight_decay == weight_decay && each.learning_rate_scale == scale;
    });
    if (group == groups.end()) group = groups.insert(groups.end(), {{}, scale, weight_decay});
    group->names.push_back(entry.name);
  }
  return groups;
}

}  // namespace visiontorch::train
