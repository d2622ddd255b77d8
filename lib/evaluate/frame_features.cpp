#include "evaluate/frame_features.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "model/checkpoint.h"

namespace retort {
namespace {

constexpr double least_deviation = 1e-6;

// Puts the layers' frames behind each other; a layer with a longer hop repeats its frames.
FrameItem one_after_another(const std::vector<Matrix>& outputs, const std::vector<EncoderOutput>& layers,
                            int hop) {
  FrameItem item;
  for (std::size_t layer = 0; layer < outputs.size(); ++layer)
    if (layers[layer].hop == hop) item.frames = outputs[layer].rows();
  for (std::size_t layer = 0; layer < outputs.size(); ++layer)
    for (int64_t frame = 0; frame < item.frames; ++frame) {
      const int64_t row = std::min(frame * hop / layers[layer].hop, outputs[layer].rows() - 1);
      const std::span<const float> values = outputs[layer].row(row);
      item.values.insert(item.values.end(), values.begin(), values.end());
    }
  return item;
}

}  // namespace

std::string block_layers(const std::string& model) {
  if (is_feature_name(model)) return "";
  const ModelConfig config = read_config(model);
  std::string layers = config.block_input() == config.hidden ? "enc0,enc1" : "enc1";
  for (int layer = 2; layer <= config.layers; ++layer) layers += fmt::format(",enc{}", layer);
  return layers;
}

FrameFeatures take_features(const std::vector<Utterance>& utterances, FrameSource& source, double max_bad) {
  const std::vector<EncoderOutput>& outputs = source.outputs();
  FrameFeatures features;
  features.layers = static_cast<int64_t>(outputs.size());
  features.dim = common_width(source);
  features.hop = outputs.front().hop;
  for (const EncoderOutput& output : outputs) features.hop = std::min(features.hop, output.hop);
  features.bad = source.run(utterances, max_bad,
                            [&](std::size_t utterance, int64_t samples, const std::vector<Matrix>& frames) {
                              FrameItem item = one_after_another(frames, outputs, features.hop);
                              item.utterance = utterance;
                              item.samples = samples;
                              features.items.push_back(std::move(item));
                            });
  return features;
}

void standardise(FrameFeatures& features, const std::vector<bool>& fit) {
  const auto width = static_cast<std::size_t>(features.layers * features.dim);
  // Calls act(layer and dimension, value) for each value of an item.
  const auto for_each_value = [&](FrameItem& item, const auto& act) {
    float* value = item.values.data();
    for (int64_t layer = 0; layer < features.layers; ++layer)
      for (int64_t frame = 0; frame < item.frames; ++frame)
        for (int64_t d = 0; d < features.dim; ++d)
          act(static_cast<std::size_t>(layer * features.dim + d), *value++);
  };
  std::vector<double> means(width, 0), scales(width, 0);
  double frames = 0;
  for (std::size_t i = 0; i < fit.size(); ++i)
    if (fit[i]) frames += static_cast<double>(features.items[i].frames);
  if (frames == 0) fail("there are no frames to standardise by");
  // Twice over the frames, since values may be far from 0.
  for (std::size_t i = 0; i < fit.size(); ++i)
    if (fit[i])
      for_each_value(features.items[i],
                     [&](std::size_t at, float value) { means[at] += static_cast<double>(value) / frames; });
  for (std::size_t i = 0; i < fit.size(); ++i)
    if (fit[i])
      for_each_value(features.items[i], [&](std::size_t at, float value) {
        scales[at] += std::pow(static_cast<double>(value) - means[at], 2) / frames;
      });
  for (double& scale : scales) scale = 1 / std::max(std::sqrt(scale), least_deviation);
  for (FrameItem& item : features.items)
    for_each_value(item, [&](std::size_t at, float& value) {
      value = static_cast<float>((static_cast<double>(value) - means[at]) * scales[at]);
    });
}

}  // namespace retort
