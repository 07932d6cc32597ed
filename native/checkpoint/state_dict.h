#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "checkpoint/file.h"
#include "nn/network.h"

namespace visiontorch::checkpoint {

struct Mismatch {
  std::string name;
  std::vector<int64_t> expected, got;
};

// A tensor that may be the weight of a layer of a classifier.
struct Layer {
  std::string name;
  std::vector<int64_t> shape;
};

// Says where a file holds a network's weights and how well they fit. Points into the file's content.
struct Match {
  // The keys that lead to the dictionary, joined by '/' ("state_dict"), and what stands before the network's names in
  // it
  // ("module."). Empty at the top of the file and where nothing precedes the names.
  std::string wrapper, prefix;
  bool averaged = false;            // a moving average of the weights
  std::vector<std::string> others;  // other places whose tensors fit equally well, as wrapper and prefix

  // The file's name for the network's last layer ("fc.1"), and its number of outputs; empty if the file has no layer
  // that fits.
  std::string classifier;
  std::optional<int64_t> num_classes;
  std::vector<Layer> head;  // the layers of a classifier that differs from the network's

  std::vector<std::string> loaded, missing, unexpected, skipped;
  std::vector<Mismatch> mismatched;
  // For each of the network's entries: the value to load, or nullptr.
  std::vector<const Value*> values;
  // The second of the two values of an entry that the file holds in two: see nn::timm_second_name().
  std::unordered_map<size_t, const Value*> second_values;
};

struct MatchOptions {
  bool averaged = true;  // if a file holds both, take the moving average instead of the raw weights
  // How much of the file's classifier to load: all of it, all but the last layer, or nothing.
  enum class Classifier { Whole, Hidden, None } classifier = Classifier::Whole;
};

// Finds the network's weights among all dictionaries of a file by the names of the network's tensors, either
// torchvision's or those of other programs. Keys and prefixes do not matter: the place with the most tensors of fitting
// shapes wins. The classifier may have any number of outputs, and any name if it is one linear layer. Auxiliary heads
// may be absent from the file or from the network. A position embedding may be for another image size; it is
// interpolated when it is loaded. Reads no tensor. `loaded` is empty if the file has no weights of the network.
Match match_state_dict(nn::Network& network, const Value& content, MatchOptions options = {});

// Loads the matched tensors of the file into the network, and reads no other tensors. Tensors of the network's types
// are adopted without a copy; others are converted. Throws ERR_NON_FINITE, naming the first tensor with a value that is
// not finite, and the errors of File::read(); the network is then unchanged.
void load_state_dict(nn::Network& network, const Match& match, File& file);

// Returns the name of the first tensor of the network with a value that is not finite, or "".
std::string first_non_finite(nn::Network& network);

struct StateDictOptions {
  bool with_classifier = true;
  bool timm_names = false;  // use timm's names; only for networks with nn::is_in_timm()
};

// Returns the network's parameters and buffers like PyTorch's state_dict(): an OrderedDict in the network's order.
Value state_dict(nn::Network& network, const StateDictOptions& options = {});

}  // namespace visiontorch::checkpoint
