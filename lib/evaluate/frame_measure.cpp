#include "evaluate/frame_measure.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"

namespace retort {

FrameGrid::FrameGrid(const std::vector<FedLayer>& all, std::vector<std::size_t> layers, int wanted)
    : layers_(std::move(layers)), hop_(wanted) {
  for (const std::size_t layer : layers_) hop_ = std::max(hop_, all[layer].hop);
  for (const std::size_t layer : layers_) {
    if (hop_ % all[layer].hop != 0)
      fail("{} has a frame every {} samples, which does not divide {}; give --hop a common multiple",
           all[layer].name, all[layer].hop, hop_);
    names_.push_back(all[layer].name);
    steps_.push_back(hop_ / all[layer].hop);
  }
}

int64_t FrameGrid::frames(const FedUtterance& utterance) const {
  std::vector<int64_t> counts;
  for (std::size_t i = 0; i < layers_.size(); ++i)
    counts.push_back((utterance.frames[layers_[i]].rows() + steps_[i] - 1) / steps_[i]);
  const auto [fewest, most] = std::minmax_element(counts.begin(), counts.end());
  if (*most > *fewest + 1)
    fail("{}: {} frames of {}, but {} of {}; they are of different audio", utterance.id, *fewest,
         names_[static_cast<std::size_t>(fewest - counts.begin())], *most,
         names_[static_cast<std::size_t>(most - counts.begin())]);
  return *fewest;
}

const float* FrameGrid::row(const FedUtterance& utterance, std::size_t i, int64_t frame) const {
  return utterance.frames[layers_[i]].row(frame * steps_[i]).data();
}

int64_t thinning(int64_t expected, int64_t most) {
  return most > 0 ? std::max<int64_t>(1, (expected + most - 1) / most) : 1;
}

Json& layer_metrics(Json& result, const FedLayer& layer) {
  const char* side = layer.of_teacher ? "teacher" : "model";
  Json& layers = result["metrics"]["layers"];
  for (Json& one : layers)
    if (one.at("of") == side && one.at("layer") == layer.name) return one;
  layers.push_back({{"of", side}, {"layer", layer.name}});
  return layers.back();
}

}  // namespace retort
