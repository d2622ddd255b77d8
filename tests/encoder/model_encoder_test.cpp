#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <functional>

#include "base/files.h"
#include "encoder/frame_encoder.h"
#include "model/checkpoint.h"
#include "model/model_folder.h"
#include "store/npy.h"
#include "torch_encoder/use_torch_encoder.h"

using namespace retort;
namespace fs = std::filesystem;

namespace {

// The tests are of every engine that this build has.
std::vector<std::string> engines() {
#ifdef RETORT_WITH_TORCH
  use_torch_encoder();
  return {"native", "torch"};
#else
  return {"native"};
#endif
}

// Which of them the encoders of a test are made with.
std::string engine_under_test;
#define RETORT_WITH_EACH_ENGINE engine_under_test = GENERATE(from_range(engines()))

fs::path fixture(const std::string& name) {
  return fs::path(RETORT_FIXTURES) / "model" / name;
}

std::unique_ptr<FrameEncoder> make_encoder(const std::string& model, const std::string& layers,
                                           int threads = 1) {
  EncoderOptions options;
  options.engine = engine_under_test;
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
  RETORT_WITH_EACH_ENGINE;
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
      CHECK(frames[0][i].rows() == encoder->frames(0, 7000));
      CHECK(encoder->origin(i).layer == output.layer);
    }
    CHECK(encoder->origin(0).model == read_model_folder(fixture(name)).hash());
    CHECK(encoder->origin(0).wave_norm == (std::string(name) == "pre" ? "zscore-hf" : "none"));
  }
}

TEST_CASE("utterances spread over threads have the features of a padded batch", "[encoder]") {
  RETORT_WITH_EACH_ENGINE;
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
  RETORT_WITH_EACH_ENGINE;
  const auto early = make_encoder("post", "hf:1")->encode({fixture_waveform()});
  const auto whole = make_encoder("post", "enc1,final")->encode({fixture_waveform()});
  CHECK(std::equal(early[0][0].values().begin(), early[0][0].values().end(), whole[0][0].values().begin()));
}

TEST_CASE("layers that the model does not have are refused", "[encoder]") {
  RETORT_WITH_EACH_ENGINE;
  CHECK_THROWS_WITH(make_encoder("post", "enc4"), Catch::Contains("enc0 to enc3"));
}

namespace {

// Noise whose loudness changes, so that statistics of a part are not those of the whole.
std::vector<float> long_waveform(size_t samples) {
  std::vector<float> wave(samples);
  uint32_t state = 7;
  for (size_t i = 0; i < samples; ++i) {
    state = state * 1664525u + 1013904223u;
    const double loudness = 0.02 + 0.2 * static_cast<double>(i) / static_cast<double>(samples);
    wave[i] = static_cast<float>(loudness * (static_cast<double>(state >> 8) / (1 << 23) - 1));
  }
  return wave;
}

std::vector<float> values_of(const Matrix& matrix) {
  return {matrix.values().begin(), matrix.values().end()};
}

std::vector<Matrix> encode_one(EncoderOptions options, const std::vector<float>& wave, double window) {
  options.window = window;
  return make_frame_encoder(options)->encode({wave}).front();
}

Matrix rows(const Matrix& matrix, int64_t first, int64_t count) {
  Matrix part(count, matrix.columns());
  std::copy_n(matrix.row(first).data(), count * matrix.columns(), part.data());
  return part;
}

EncoderOptions options_for(const std::string& model, const std::string& layers) {
  EncoderOptions options;
  options.engine = engine_under_test;
  options.model = model;
  options.layers = layers;
  options.threads = 2;
  return options;
}

std::string usage_error(const EncoderOptions& options) {
  try {
    make_frame_encoder(options);
  } catch (const Error& error) {
    CHECK(error.fault() == Fault::usage);
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("windows change nothing that sees no further than their overlap", "[encoder]") {
  RETORT_WITH_EACH_ENGINE;
  const TemporaryFolder folder;
  const auto file = fs::path(RETORT_FIXTURES) / "parity" / "fithubert";
  const Json about = read_json(file / "variant.json");
  const ModelSource reduced = open_checkpoint(file / about["checkpoint"].get<std::string>(),
                                              file / about["config"].get<std::string>());
  write_model(folder.path() / "fithubert", reduced);
  for (const std::string& model :
       {fixture("post").string(), fixture("pre").string(), (folder.path() / "fithubert").string()}) {
    for (const size_t samples : {size_t{80001}, size_t{123457}, size_t{16000 * 31}}) {
      CAPTURE(model, samples);
      const EncoderOptions options = options_for(model, "conv,proj,enc0,enc1,final");
      const std::vector<float> wave = long_waveform(samples);
      const std::vector<Matrix> whole = encode_one(options, wave, 0);
      const std::vector<Matrix> windows = encode_one(options, wave, 5);
      for (size_t layer = 0; layer < 3; ++layer)
        CHECK(relative_distance(windows[layer], whole[layer]) < 1e-4);
      for (size_t layer = 3; layer < 5; ++layer) {
        CHECK(windows[layer].rows() == whole[layer].rows());
        CHECK(std::isfinite(relative_distance(windows[layer], whole[layer])));
        CHECK(values_of(windows[layer]) != values_of(whole[layer]));  // attention does see a window only
      }
    }
  }
}

TEST_CASE("LSTMs run in windows, over threads and in padded batches", "[encoder]") {
  RETORT_WITH_EACH_ENGINE;
  std::vector<std::vector<float>> waves;
  for (size_t i = 0; i < 6; ++i) waves.push_back(long_waveform(400 + 3000 * ((i * 5) % 6)));
  for (const char* name : {"both", "forward"}) {
    CAPTURE(name);
    const std::string model = (fs::path(RETORT_FIXTURES) / "lstm" / name).string();
    EncoderOptions options = options_for(model, "all");
    const auto spread = make_frame_encoder(options)->encode(waves);
    options.threads = 7;
    const auto encoder = make_frame_encoder(options);
    const auto padded = encoder->encode(waves);
    const std::vector<float> wave = long_waveform(16000 * 12);
    const std::vector<Matrix> whole = encode_one(options, wave, 0);
    const std::vector<Matrix> windows = encode_one(options, wave, 5);
    for (size_t layer = 0; layer < encoder->outputs().size(); ++layer) {
      CAPTURE(encoder->outputs()[layer].layer);
      CHECK(whole[layer].columns() == encoder->outputs()[layer].dim);
      for (size_t i = 0; i < waves.size(); ++i)
        CHECK(relative_distance(spread[i][layer], padded[i][layer]) < 1e-5);
      REQUIRE(windows[layer].rows() == whole[layer].rows());
      CHECK(std::isfinite(relative_distance(windows[layer], whole[layer])));
      if (layer < 3)
        CHECK(relative_distance(windows[layer], whole[layer]) < 1e-4);  // up to the first LSTM layer
      // The first window has all of the past; the middle of the second has seen enough of it.
      if (name == std::string("forward"))
        CHECK(relative_distance(rows(windows[layer], 0, 180), rows(whole[layer], 0, 180)) < 1e-5);
      CHECK(relative_distance(rows(windows[layer], 280, 5), rows(whole[layer], 280, 5)) < 1e-3);
    }
  }
}

namespace {

// The least cosine of two utterances' frames.
double least_cosine(const Matrix& ours, const Matrix& theirs) {
  REQUIRE(ours.rows() == theirs.rows());
  double least = 1;
  for (int64_t i = 0; i < ours.rows(); ++i) {
    double product = 0, ours2 = 0, theirs2 = 0;
    for (int64_t j = 0; j < ours.columns(); ++j) {
      product += static_cast<double>(ours(i, j)) * theirs(i, j);
      ours2 += std::pow(ours(i, j), 2);
      theirs2 += std::pow(theirs(i, j), 2);
    }
    least = std::min(least, product / std::sqrt(ours2 * theirs2));
  }
  return least;
}

// Folders of every kind of network, those of the checkpoints among the fixtures written to `folder`.
std::vector<std::string> models_of_all_kinds(const fs::path& folder) {
  std::vector<std::string> models;
  for (const char* name : {"post", "pre", "bare"}) models.push_back(fixture(name).string());
  for (const char* name : {"both", "forward"})
    models.push_back((fs::path(RETORT_FIXTURES) / "lstm" / name).string());
  const fs::path parity = fs::path(RETORT_FIXTURES) / "parity";
  models.push_back((parity / "hf-hubert-batchnorm").string());
  for (const char* name :
       {"wavlm-base", "wavlm-large", "fairseq-data2vec", "distilhubert", "fithubert", "fithubert-fc1"}) {
    const Json about = read_json(parity / name / "variant.json");
    const std::string config = about.value("config", "");
    write_model(folder / name, open_checkpoint(parity / name / about["checkpoint"].get<std::string>(),
                                               config.empty() ? "" : (parity / name / config).string()));
    models.push_back((folder / name).string());
  }
  return models;
}

}  // namespace

#ifdef RETORT_WITH_TORCH
TEST_CASE("LibTorch's bf16 is near its f32, alone and in buckets", "[encoder]") {
  use_torch_encoder();
  // A frame of these models is a dozen values, of which a few decide; at real sizes the least is 0.9998.
  constexpr double bound = 0.99;
  const TemporaryFolder folder;
  std::vector<std::vector<float>> waves = {fixture_waveform()};
  for (size_t i = 0; i < 4; ++i) waves.push_back(long_waveform(7000 + 3001 * i));
  for (const std::string& model : models_of_all_kinds(folder.path())) {
    CAPTURE(model);
    EncoderOptions options;
    options.engine = "torch";
    options.model = model;
    options.layers = "all";
    options.threads = 8;  // more than utterances, so that these go together
    const auto exact = make_frame_encoder(options)->encode(waves);
    options.precision = "bf16";
    const auto encoder = make_frame_encoder(options);
    CHECK(encoder->origin(0).precision == "bf16");
    const auto near = encoder->encode(waves);
    const auto alone = encoder->encode({waves[1]}).front();
    options.window = 5;
    const std::vector<float> wave = long_waveform(16000 * 7);
    const auto windows = make_frame_encoder(options)->encode({wave}).front();
    for (size_t layer = 0; layer < encoder->outputs().size(); ++layer) {
      CAPTURE(encoder->outputs()[layer].layer);
      for (size_t i = 0; i < waves.size(); ++i) {
        CHECK(least_cosine(near[i][layer], exact[i][layer]) > bound);
        CHECK(values_of(near[i][layer]) != values_of(exact[i][layer]));
      }
      CHECK(least_cosine(alone[layer], exact[1][layer]) > bound);
      CHECK(windows[layer].rows() == encoder->frames(layer, static_cast<int64_t>(wave.size())));
    }
  }
}
#endif

TEST_CASE("an LSTM that goes one way remembers across windows", "[encoder]") {
  EncoderOptions options = options_for((fs::path(RETORT_FIXTURES) / "lstm" / "forward").string(), "all");
  options.engine = "native";
  const std::vector<float> wave = long_waveform(16000 * 50);  // 2499 frames: more than one run of them
  const std::vector<Matrix> whole = encode_one(options, wave, 0);
  const std::vector<Matrix> windows = encode_one(options, wave, 5);
  for (size_t layer = 0; layer < whole.size(); ++layer)
    CHECK(values_of(windows[layer]) == values_of(whole[layer]));
}

TEST_CASE("an utterance within the window is encoded whole", "[encoder]") {
  RETORT_WITH_EACH_ENGINE;
  const std::vector<float> wave = long_waveform(80000);
  const EncoderOptions options = options_for(fixture("post").string(), "final");
  CHECK(values_of(encode_one(options, wave, 5).front()) == values_of(encode_one(options, wave, 0).front()));
}

TEST_CASE("compat batches see their padding where the norm is over time, and there only", "[encoder]") {
  RETORT_WITH_EACH_ENGINE;
  const std::vector<float> wave = fixture_waveform();
  const std::vector<float> longer = long_waveform(9000);
  for (const char* model : {"post", "pre"}) {
    EncoderOptions options = options_for(fixture(model).string(), "final");
    const Matrix alone = make_frame_encoder(options)->encode({wave}).front().front();
    options.batching = "compat";
    options.batch = 2;
    const auto encoder = make_frame_encoder(options);
    CHECK(encoder->batches().utterances == 2);
    CHECK(encoder->origin(0).batching == "compat 2");
    const Matrix padded = encoder->encode({wave, longer})[0].front();
    CHECK(padded.rows() == alone.rows());
    const bool sees_padding = std::string(model) == "post";
    CHECK((relative_distance(padded, alone) > 1e-3) == sees_padding);
    if (!sees_padding) continue;
    // What the tools compute that pad with zeros and give no lengths: the features of a longer utterance.
    std::vector<float> with_zeros = wave;
    with_zeros.resize(longer.size());
    const Matrix zeros = encoder->encode({with_zeros}).front().front();
    for (int64_t i = 0; i < padded.rows(); ++i)
      for (int64_t j = 0; j < padded.columns(); ++j) CHECK(padded(i, j) == Approx(zeros(i, j)).margin(1e-4));
  }
}

TEST_CASE("another normalisation than the model's takes force, and is stamped", "[encoder]") {
  RETORT_WITH_EACH_ENGINE;
  EncoderOptions options = options_for(fixture("pre").string(), "final");
  options.wave_norm = "zscore-hf";
  CHECK(make_frame_encoder(options)->origin(0).wave_norm == "zscore-hf");
  options.wave_norm = "none";
  CHECK_THAT(usage_error(options), Catch::Contains("--force overrides"));
  options.force = true;
  const auto forced = make_frame_encoder(options);
  CHECK(forced->origin(0).wave_norm == "none (forced)");
  const Matrix raw = forced->encode({fixture_waveform()}).front().front();
  CHECK(relative_distance(raw, read_npy_matrix(fixture("pre") / "final.npy")) > 1e-4);
}

TEST_CASE("options of models that would do nothing are refused", "[encoder]") {
  const auto with = [](const std::function<void(EncoderOptions&)>& change, const std::string& model) {
    EncoderOptions options;
    options.model = model;
    change(options);
    return usage_error(options);
  };
  const std::string post = fixture("post").string();
  CHECK_THAT(with([](auto& o) { o.window = 30; }, "mfcc"), Catch::Contains("are of models"));
  CHECK_THAT(with([](auto& o) { o.batching = "compat"; }, post), Catch::Contains("--batch"));
  CHECK_THAT(with([](auto& o) { o.batch = 4; }, post), Catch::Contains("--batching compat"));
  CHECK_THAT(with([](auto& o) { o.window = 1; }, post), Catch::Contains("at least 5"));
  CHECK_THAT(with([](auto& o) { o.force = true; }, post), Catch::Contains("--wave-norm"));
  CHECK_THAT(with([](auto& o) { o.wave_norm = "loud"; }, post), Catch::Contains("none of none, zscore"));
}
