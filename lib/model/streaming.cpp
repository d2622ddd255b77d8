#include "model/streaming.h"

#include <fmt/ranges.h>

#include <vector>

#include "base/error.h"

namespace retort {

std::string obstacle_to_streaming(const ModelConfig& config) {
  std::vector<std::string> clauses;
  if (config.wave_norm != "none")
    clauses.push_back(fmt::format("its waveform is normalised as a whole ({})", config.wave_norm));
  if (config.conv_norm == ConvNorm::group)
    clauses.emplace_back("its conv stack has a norm over time (GroupNorm)");
  if (config.blocks == BlockKind::transformer)
    clauses.emplace_back("its blocks attend to all frames");
  else if (config.bidirectional)
    clauses.emplace_back("its LSTM layers go backwards too");
  return fmt::format("{}", fmt::join(clauses, "; "));
}

void require_streaming(const ModelConfig& config) {
  const std::string obstacle = obstacle_to_streaming(config);
  if (!obstacle.empty()) fail("the model cannot stream: {}", obstacle);
}

int64_t algorithmic_latency(const ModelConfig& config) {
  return config.receptive_field();
}

}  // namespace retort
