// The native engine against the layers of the packages that made the fixtures (tests/fixtures/parity), with
// every version of the kernels that this machine runs.
#include "native/native_model.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <map>

#include "base/error.h"
#include "base/random.h"
#include "parity_fixtures.h"

using namespace retort;

namespace {

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

TEST_CASE("frames of samples that come in pieces are those of the whole, to the bit") {
  const ModelSource source = open_model(std::filesystem::path(RETORT_FIXTURES) / "lstm" / "forward");
  const std::vector<Layer> layers = all_layers(source.config);
  Random random(11);
  std::vector<float> waveform(30000);
  for (float& sample : waveform) sample = static_cast<float>(random.uniform() - 0.4);
  for (const CpuPath path : supported_cpu_paths()) {
    for (const Precision precision : precisions_of(path)) {
      INFO(to_string(path) << " " << to_string(precision));
      NativeModel model(source, {precision, 2, path});
      const std::vector<Matrix> whole = model.forward({waveform}, layers).front();
      for (const size_t most : {1000u, 90u, 20000u}) {
        NativeModel::Stream stream = model.stream(layers);
        std::vector<std::vector<float>> streamed(layers.size());
        for (size_t first = 0; first < waveform.size();) {
          const size_t count = std::min(waveform.size() - first, random.below(most));
          const int64_t expected = stream.frames(static_cast<int64_t>(count));
          const std::vector<Matrix> frames = stream.push({waveform.data() + first, count});
          for (size_t l = 0; l < layers.size(); ++l) {
            CHECK(frames[l].rows() == expected);
            streamed[l].insert(streamed[l].end(), frames[l].values().begin(), frames[l].values().end());
          }
          first += count;
        }
        for (size_t l = 0; l < layers.size(); ++l) {
          INFO(layers[l].name() << " in pieces of up to " << most);
          CHECK(std::equal(streamed[l].begin(), streamed[l].end(), whole[l].values().begin(),
                           whole[l].values().end()));
        }
      }
    }
  }
}

TEST_CASE("two streams of a model do not disturb each other") {
  const ModelSource source = open_model(std::filesystem::path(RETORT_FIXTURES) / "lstm" / "forward");
  const std::vector<Layer> layers = {parse_layer("final", source.config)};
  NativeModel model(source, {Precision::f32, 1, cpu_path()});
  const std::vector<float> loud(4000, 0.5f), quiet(4000, -0.01f);
  NativeModel::Stream one = model.stream(layers);
  NativeModel::Stream other = model.stream(layers);
  const Matrix first = one.push(loud).front();
  CHECK(same(other.push(quiet).front(), model.forward({quiet}, layers).front().front()));
  CHECK(same(first, model.forward({loud}, layers).front().front()));
}

TEST_CASE("a model with frames that wait for later ones says what makes them") {
  const auto refusal = [](const ModelSource& source) {
    NativeModel model(source, {Precision::f32, 1, cpu_path()});
    try {
      model.stream(all_layers(source.config));
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("it streams");
  };
  CHECK(refusal(open_model(std::filesystem::path(RETORT_FIXTURES) / "lstm" / "both")) ==
        "the model cannot stream: its conv stack has a norm over time (GroupNorm); its LSTM layers go "
        "backwards "
        "too");
  CHECK(
      refusal(variant("hf-hubert-pre").open()) ==
      "the model cannot stream: its waveform is normalised as a whole (zscore-hf); its blocks attend to all "
      "frames");
}
