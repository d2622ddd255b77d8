// Models of other packages, small and random, and the layers that these compute of some clips of speech
// (tests/fixtures/parity).
#pragma once

#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "audio/waveform.h"
#include "base/json.h"
#include "base/matrix.h"
#include "model/checkpoint.h"
#include "model/layers.h"
#include "model/normalise.h"
#include "store/safetensors.h"

namespace retort {

using Waveforms = std::vector<std::vector<float>>;

// A model of another package, and what that computes of the clips.
struct Variant {
  std::filesystem::path folder;
  Json about;

  ModelSource open() const {
    const auto checkpoint = about.at("checkpoint").get<std::string>();
    if (checkpoint == ".") return open_model(folder);
    return open_checkpoint(folder / checkpoint, about.contains("config")
                                                    ? folder / about.at("config").get<std::string>()
                                                    : std::filesystem::path());
  }
  std::filesystem::path expected() const { return folder / about.value("expected", "expected.safetensors"); }
  std::vector<Layer> layers(const ModelConfig& config) const {
    std::vector<Layer> layers;
    for (const Json& name : about.at("layers"))
      layers.push_back(parse_layer(name.get<std::string>(), config));
    return layers;
  }
};

inline std::vector<Variant> all_variants() {
  std::vector<Variant> variants;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::path(RETORT_FIXTURES) / "parity"))
    if (std::filesystem::exists(entry.path() / "variant.json"))
      variants.push_back({entry.path(), read_json(entry.path() / "variant.json")});
  return variants;
}

inline Variant variant(const std::string& name) {
  const std::filesystem::path folder = std::filesystem::path(RETORT_FIXTURES) / "parity" / name;
  return {folder, read_json(folder / "variant.json")};
}

inline const std::vector<std::string> clips = {"a400", "b719", "c5000", "d7761"};

// The clips as a model wants them.
inline Waveforms read_clips(const std::string& wave_norm) {
  Waveforms waveforms;
  for (const std::string& clip : clips) {
    AudioSegment segment;
    segment.path = std::filesystem::path(RETORT_FIXTURES) / "parity" / "clips" / (clip + ".wav");
    waveforms.push_back(normalise_waveform(load_waveform(segment), wave_norm));
  }
  return waveforms;
}

// The largest difference of a layer over all clips, over its RMS.
inline double difference(const SafetensorsFile& expected, const std::string& layer,
                         const std::vector<std::vector<Matrix>>& ours, size_t index) {
  double largest = 0;
  double squares = 0;
  size_t count = 0;
  for (size_t clip = 0; clip < clips.size(); ++clip) {
    const std::string name = clips[clip] + "/" + layer;
    const auto found = expected.tensors().find(name);
    if (found == expected.tensors().end()) continue;  // a frame too short for the layer
    const std::vector<float> theirs = found->second.to_f32(name);
    const Matrix& mine = ours[clip][index];
    REQUIRE(std::vector<int64_t>{mine.rows(), mine.columns()} == found->second.shape);
    for (size_t i = 0; i < theirs.size(); ++i) {
      const auto value = static_cast<double>(theirs[i]);
      const double distance = std::abs(static_cast<double>(mine.values()[i]) - value);
      REQUIRE(std::isfinite(distance));
      largest = std::max(largest, distance);
      squares += value * value;
    }
    count += theirs.size();
  }
  REQUIRE(count > 0);
  return largest / std::sqrt(squares / static_cast<double>(count));
}

}  // namespace retort
