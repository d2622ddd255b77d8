#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>

#include "encoder/frame_encoder.h"
#include "model/model_folder.h"
#include "store/npy.h"

using namespace retort;
namespace fs = std::filesystem;

namespace {

fs::path fixture(const std::string& name) {
  return fs::path(RETORT_FIXTURES) / "model" / name;
}

std::unique_ptr<FrameEncoder> make_encoder(const std::string& model, const std::string& layers,
                                           int threads = 1) {
  EncoderOptions options;
  options.model = fixture(model).string();
  options.layers = layers;
  options.threads = threads;
  return make_frame_encoder(options);
}

std::vector<float> fixture_waveform() {
  const Matrix samples = read_npy_matrix(fixture("input.npy"));
  return {samples.values().begin(), samples.values().end()};
}

double relative_distance(const Matrix& ours, const Matrix& theirs) {
  REQUIRE(ours.rows() == theirs.rows());
  REQUIRE(ours.columns() == theirs.columns());
  double largest = 0, square = 0;
  for (size_t i = 0; i < ours.values().size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(ours.values()[i]) - theirs.values()[i]));
    square += std::pow(theirs.values()[i], 2);
  }
  return largest / std::sqrt(square / static_cast<double>(theirs.values().size()));
}

}  // namespace

TEST_CASE("layers of a model folder come in the order asked for and equal transformers'", "[encoder]") {
  for (const char* name : {"post", "pre", "bare"}) {
    const auto encoder = make_encoder(name, "final,conv,enc1,proj");
    const std::vector<float> wave = fixture_waveform();
    const std::vector<float> longer(7000, 0.1f);
    const auto frames = encoder->encode({longer, wave});
    REQUIRE(frames[1].size() == 4);
    for (size_t i = 0; i < 4; ++i) {
      const EncoderOutput& output = encoder->outputs()[i];
      CHECK(relative_distance(frames[1][i], read_npy_matrix(fixture(name) / (output.layer + ".npy"))) < 1e-5);
      CHECK(frames[1][i].columns() == output.dim);
      CHECK(frames[0][i].rows() == encoder->frames(7000));
      CHECK(encoder->origin(i).layer == output.layer);
    }
    CHECK(encoder->origin(0).model == read_model_folder(fixture(name)).hash());
    CHECK(encoder->origin(0).wave_norm == (std::string(name) == "pre" ? "zscore" : "none"));
  }
}

TEST_CASE("utterances spread over threads have the features of a padded batch", "[encoder]") {
  std::vector<std::vector<float>> waves;
  for (size_t i = 0; i < 12; ++i) {
    waves.push_back(fixture_waveform());
    waves.back().resize(400 + 300 * ((i * 5) % 12));
  }
  for (const char* name : {"post", "pre"}) {
    const auto spread = make_encoder(name, "conv,final", 3)->encode(waves);
    const auto padded = make_encoder(name, "conv,final", 13)->encode(waves);
    REQUIRE(spread.size() == waves.size());
    for (size_t i = 0; i < waves.size(); ++i)
      for (size_t layer = 0; layer < 2; ++layer)
        CHECK(relative_distance(spread[i][layer], padded[i][layer]) < 1e-5);
  }
}

TEST_CASE("an encoder that stops early gives the same as one that goes on", "[encoder]") {
  const auto early = make_encoder("post", "hf:1")->encode({fixture_waveform()});
  const auto whole = make_encoder("post", "enc1,final")->encode({fixture_waveform()});
  CHECK(std::equal(early[0][0].values().begin(), early[0][0].values().end(), whole[0][0].values().begin()));
}

TEST_CASE("layers that the model does not have are refused", "[encoder]") {
  CHECK_THROWS_WITH(make_encoder("post", "enc4"), Catch::Contains("enc0 to enc3"));
}
