// The native engine against the layers of the packages that made the fixtures (tests/fixtures/parity), with
// every version of the kernels that this machine runs.
#include "native/native_model.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <map>

#include "audio/waveform.h"
#include "base/error.h"
#include "base/random.h"
#include "model/checkpoint.h"
#include "model/normalise.h"
#include "store/safetensors.h"

using namespace retort;
namespace fs = std::filesystem;

namespace {

using Waveforms = std::vector<std::vector<float>>;

struct Variant {
  fs::path folder;
  Json about;

  ModelSource open() const {
    const auto checkpoint = about.at("checkpoint").get<std::string>();
    if (checkpoint == ".") return open_model(folder);
    return open_checkpoint(folder / checkpoint, about.contains("config")
                                                    ? folder / about.at("config").get<std::string>()
                                                    : fs::path());
  }
  fs::path expected() const { return folder / about.value("expected", "expected.safetensors"); }
  std::vector<Layer> layers(const ModelConfig& config) const {
    std::vector<Layer> layers;
    for (const Json& name : about.at("layers"))
      layers.push_back(parse_layer(name.get<std::string>(), config));
    return layers;
  }
};

std::vector<Variant> all_variants() {
  std::vector<Variant> variants;
  for (const auto& entry : fs::directory_iterator(fs::path(RETORT_FIXTURES) / "parity"))
    if (fs::exists(entry.path() / "variant.json"))
      variants.push_back({entry.path(), read_json(entry.path() / "variant.json")});
  return variants;
}

Variant variant(const std::string& name) {
  const fs::path folder = fs::path(RETORT_FIXTURES) / "parity" / name;
  return {folder, read_json(folder / "variant.json")};
}

const std::vector<std::string> clips = {"a400", "b719", "c5000", "d7761"};

Waveforms read_clips(const std::string& wave_norm) {
  Waveforms waveforms;
  for (const std::string& clip : clips) {
    AudioSegment segment;
    segment.path = fs::path(RETORT_FIXTURES) / "parity" / "clips" / (clip + ".wav");
    waveforms.push_back(normalise_waveform(load_waveform(segment), wave_norm));
  }
  return waveforms;
}

// The largest difference of a layer over all clips, over its RMS.
double difference(const SafetensorsFile& expected, const std::string& layer,
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

std::vector<Precision> precisions_of(CpuPath path) {
  std::vector<Precision> precisions{Precision::f32, Precision::int8};
  if (has_precision(path, Precision::bf16)) precisions.push_back(Precision::bf16);
  return precisions;
}

bool same(const Matrix& a, const Matrix& b) {
  return a.rows() == b.rows() && a.columns() == b.columns() &&
         std::equal(a.values().begin(), a.values().end(), b.values().begin());
}

}  // namespace

TEST_CASE("every layer of every architecture is the reference's") {
  // Of a layer's RMS. These networks of a few random channels have no redundancy for fewer bits to hide in.
  const std::map<Precision, double> bounds{
      {Precision::f32, 1e-4}, {Precision::bf16, 0.3}, {Precision::int8, 0.6}};
  for (const Variant& variant : all_variants()) {
    const ModelSource source = variant.open();
    const Waveforms waveforms = read_clips(source.config.wave_norm);
    const std::vector<Layer> layers = variant.layers(source.config);
    const SafetensorsFile expected(variant.expected());
    for (const CpuPath path : supported_cpu_paths()) {
      for (const Precision precision : precisions_of(path)) {
        const auto ours = NativeModel(source, {precision, 2, path}).forward(waveforms, layers);
        for (size_t i = 0; i < layers.size(); ++i) {
          INFO(variant.folder.filename()
               << " " << layers[i].name() << " " << to_string(path) << " " << to_string(precision));
          CHECK(difference(expected, layers[i].name(), ours, i) < bounds.at(precision));
        }
      }
    }
  }
}

TEST_CASE("an utterance gives what it gives alone, whatever the threads and the layers asked for") {
  for (const char* name : {"hf-hubert-post", "wavlm-large", "fithubert", "hf-data2vec", "distilhubert"}) {
    INFO(name);
    const ModelSource source = variant(name).open();
    const Waveforms waveforms = read_clips(source.config.wave_norm);
    const std::vector<Layer> layers = all_layers(source.config);
    const CpuPath path = cpu_path();
    for (const Precision precision : precisions_of(path)) {
      NativeModel together(source, {precision, 3, path});
      NativeModel alone(source, {precision, 1, path});
      const auto all = together.forward(waveforms, layers);
      for (size_t u = 0; u < waveforms.size(); ++u) {
        for (size_t l = 0; l < layers.size(); ++l) {
          INFO(layers[l].name() << " of utterance " << u);
          CHECK(same(alone.forward({waveforms[u]}, {layers[l]}).front().front(), all[u][l]));
        }
      }
    }
  }
}

TEST_CASE("frames of the conv stack that are read in runs are those of the whole") {
  for (const char* name : {"hf-hubert-post", "hf-hubert-pre"}) {
    const ModelSource source = variant(name).open();
    Random random(3);
    std::vector<float> waveform(20 * 16000);  // more than one piece
    for (float& sample : waveform) sample = static_cast<float>(random.uniform() - 0.4);
    NativeModel model(source, {Precision::f32, 2, cpu_path()});
    const std::vector<Layer> layers = {parse_layer("conv", source.config),
                                       parse_layer("final", source.config)};
    const std::vector<Matrix> whole = model.forward({waveform}, layers).front();
    const NativeModel::ConvFrames conv = model.conv_frames(waveform);
    REQUIRE(conv.count() == whole[0].rows());
    Matrix rows(conv.count(), whole[0].columns());
    conv.read(conv.count() / 3, rows, conv.count() / 3);
    Matrix first(conv.count() / 3, whole[0].columns());
    conv.read(0, first, 0);
    std::copy(first.values().begin(), first.values().end(), rows.data());
    CHECK(same(rows, whole[0]));
    CHECK(same(model.forward_frames(rows, {layers[1]}).front(), whole[1]));
  }
}

TEST_CASE("a waveform without a frame is an error") {
  const ModelSource source = variant("hf-hubert-post").open();
  NativeModel model(source, {Precision::f32, 1, cpu_path()});
  CHECK_THROWS_WITH(model.forward({std::vector<float>(399)}, all_layers(source.config)),
                    "a waveform of 399 samples has no frame");
}
