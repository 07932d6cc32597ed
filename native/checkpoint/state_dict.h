#pragma once

#include <optional>
#include <string>
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

// Where a file holds a network's weights, and how they fit. Points into the file's content.
struct Match {
  // The keys that lead to the dictionary, joined by '/' ("state_dict"), and what stands before the network's names in
  // it
  // ("module."). Empty at the top of the file and where nothing precedes the names.
  std::string wrapper, prefix;
  bool averaged = false;            // a moving average of the weights
  std::vector<std::string> others;  // other places whose tensors fit equally well, as wrapper and prefix

  // The file's name for the network's last layer ("fc.1"), and its number of outputs; without a value if the file has
  // no layer that fits.
  std::string classifier;
  std::optional<int64_t> num_classes;
  std::vector<Layer> head;  // layers that make up a classifier unlike the network's

  std::vector<std::string> loaded, missing, unexpected, skipped;
  std::vector<Mismatch> mismatched;
  // By the network's entries: the value to load, or nullptr.
  std::vector<const Value*> values;
};

struct MatchOptions {
  bool averaged = true;  // of a file that holds both, take the moving average and not the raw weights
  // How much of the file's classifier: all of it, all but the last layer, or nothing.
  enum class Classifier { Whole, Hidden, None } classifier = Classifier::Whole;
};

// Finds the network's weights among all dictionaries of a file, by the names of the network's tensors, torchvision's or
// those of other programs: whatever key
// leads to them and whatever prefix they bear, the place that holds most of them with fitting shapes wins. The
// classifier may have any number of outputs, and any name if it is one linear layer. Auxiliary heads may be absent from
// the file or from the network. A position embedding may be that of another image size; it is interpolated when it is
// loaded. Reads no tensor. `loaded` is empty if nothing of the network is in the file.
Match match_state_dict(nn::Network& network, const Value& content, MatchOptions options = {});

// Puts the matched tensors of the file whose content was matched into the network, and reads nothing else of it.
// Tensors of the network's types are adopted without a copy, others are converted. Throws ERR_NON_FINITE, naming the
// first tensor with a value that is not finite, and what File::read() throws; the network is then unchanged.
void load_state_dict(nn::Network& network, const Match& match, File& file);

// The first tensor of the network with a value that is not finite, or "".
std::string first_non_finite(nn::Network& network);

struct StateDictOptions {
  bool with_classifier = true;
  bool timm_names = false;  // of a network that nn::is_in_timm()
};

// The network's parameters and buffers as PyTorch's state_dict(): an OrderedDict in the network's order.
Value state_dict(nn::Network& network, const StateDictOptions& options = {});

}  // namespace visiontorch::checkpoint
