// LSTM students against torch.nn.LSTM (tests/fixtures/lstm).
#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>

#include "model/model_folder.h"
#include "nn/hubert.h"
#include "store/npy.h"
#include "torch_goldens.h"

using namespace retort;
namespace fs = std::filesystem;

namespace {

using Waves = std::vector<std::vector<float>>;

fs::path fixture(const std::string& name) {
  return fs::path(RETORT_FIXTURES) / "lstm" / name;
}

// All of the fixtures' waveform.
std::vector<float> waveform() {
  const Matrix samples = read_npy_matrix(fs::path(RETORT_FIXTURES) / "model" / "input.npy");
  return {samples.values().begin(), samples.values().end()};
}

std::vector<float> part(const std::vector<float>& wave, int64_t begin, int64_t end) {
  return {wave.begin() + begin, wave.begin() + end};
}

// The utterances of the goldens, as make.py cuts them.
Waves utterances() {
  const std::vector<float> wave = waveform();
  return {part(wave, 500, 2900), wave, part(wave, 1000, 1400)};
}

HubertModel fixture_model(const std::string& name) {
  HubertModel model(read_model_folder(fixture(name)));
  model->eval();
  return model;
}

HubertStates run(HubertModel& model, const Waves& waves, const HubertForwardOptions& options = {}) {
  std::vector<int64_t> lengths;
  for (const auto& wave : waves) lengths.push_back(static_cast<int64_t>(wave.size()));
  return model->forward(pad_waveforms(waves), lengths, options);
}

// (frames of all utterances, dim): what is left of a batch without the frames after their ends.
at::Tensor valid_frames(const at::Tensor& batch, const std::vector<int64_t>& frames) {
  std::vector<at::Tensor> each;
  for (size_t i = 0; i < frames.size(); ++i)
    each.push_back(batch[static_cast<int64_t>(i)].narrow(0, 0, frames[i]));
  return at::cat(each);
}

at::Tensor golden(const std::string& model, const std::string& layer) {
  return read_golden(fixture(model) / (layer + ".npy"));
}

}  // namespace

TEST_CASE("every layer equals that of torch.nn.LSTM over packed utterances of unequal lengths", "[lstm]") {
  for (const char* name : {"both", "forward"}) {
    HubertModel model = fixture_model(name);
    for (const bool with_gradient : {false, true}) {
      CAPTURE(name, with_gradient);
      const at::AutoGradMode mode(with_gradient);
      const HubertStates states = run(model, utterances());
      REQUIRE(states.frames == std::vector<int64_t>{7, 12, 1});
      REQUIRE(states.enc.size() == static_cast<size_t>(model->config().layers + 1));
      for (size_t i = 0; i < states.enc.size(); ++i)
        CHECK(relative_distance(valid_frames(states.enc[i], states.frames),
                                golden(name, fmt::format("enc{}", i))) < 1e-5);
      CHECK(at::equal(states.final, states.enc.back()));
      CHECK(at::equal(states.proj.narrow(0, 1, 1), states.enc[0].narrow(0, 1, 1)));
      const at::Tensor logits = model->label_logits(states.final);
      CHECK(relative_distance(valid_frames(logits, states.frames), golden(name, "logits")) < 1e-5);
    }
  }
}

TEST_CASE("one way is causal: a prefix has the prefix of the features; both ways are not", "[lstm]") {
  const std::vector<float> wave = waveform();
  const torch::NoGradGuard no_grad;
  for (const char* name : {"forward", "both"}) {
    HubertModel model = fixture_model(name);
    const HubertStates all = run(model, {wave});
    const at::Tensor whole = all.final[0];
    for (const int64_t samples : {400, 1111, 2900}) {
      CAPTURE(name, samples);
      // Of the conv stack's own frames, since the norm over time of "both" is not causal either.
      const int64_t frames = model->config().frames(samples);
      const at::Tensor prefix = model->forward_frames(all.conv.narrow(1, 0, frames)).final[0];
      const double distance = relative_distance(prefix, whole.narrow(0, 0, frames));
      if (name == std::string("forward")) {
        CHECK(distance < 1e-5);
        CHECK(relative_distance(run(model, {part(wave, 0, samples)}).final[0], whole.narrow(0, 0, frames)) <
              1e-5);
      } else {
        CHECK(distance > 1e-2);
      }
    }
  }
}

TEST_CASE("only the layers asked for run", "[lstm]") {
  HubertModel model = fixture_model("both");
  const torch::NoGradGuard no_grad;
  const HubertStates all = run(model, utterances());
  for (const int last : {0, 1, 2}) {
    HubertForwardOptions options;
    options.last_block = last;
    const HubertStates states = run(model, utterances(), options);
    REQUIRE(states.enc.size() == static_cast<size_t>(last + 1));
    CHECK_FALSE(states.final.defined());
    CHECK(at::equal(states.enc.back(), all.enc[static_cast<size_t>(last)]));
  }
}

TEST_CASE("what follows an utterance's end reaches none of its frames", "[lstm]") {
  const torch::NoGradGuard no_grad;
  for (const char* name : {"both", "forward"}) {
    CAPTURE(name);
    HubertModel model = fixture_model(name);
    const Waves waves = utterances();
    const HubertStates clean = run(model, waves);
    at::Tensor dirty = pad_waveforms(waves);
    dirty[0].narrow(0, 2400, 1600).fill_(0.5f);
    const HubertStates states = model->forward(dirty, {2400, 4000, 400});
    CHECK(at::equal(valid_frames(states.final, states.frames), valid_frames(clean.final, clean.frames)));
  }
}

TEST_CASE("dropout acts between the layers, and in training only", "[lstm]") {
  ModelWeights weights = read_model_folder(fixture("both"));
  weights.config.hidden_dropout = 0.5;
  HubertModel model(weights);
  const torch::NoGradGuard no_grad;
  model->eval();
  const HubertStates calm = run(model, utterances());
  model->train();
  const HubertStates states = run(model, utterances());
  CHECK(relative_distance(valid_frames(states.enc[1], states.frames),
                          valid_frames(calm.enc[1], calm.frames)) < 1e-5);
  for (const size_t layer : {2u, 3u})
    CHECK(relative_distance(valid_frames(states.enc[layer], states.frames),
                            valid_frames(calm.enc[layer], calm.frames)) > 0.05);
}

TEST_CASE("gradients reach every parameter through packed and through equal utterances", "[lstm]") {
  for (const char* name : {"both", "forward"}) {
    for (const bool equal : {false, true}) {
      CAPTURE(name, equal);
      HubertModel model = fixture_model(name);
      const HubertStates states = run(model, equal ? Waves{waveform(), waveform()} : utterances());
      const at::Tensor logits = valid_frames(model->label_logits(states.final), states.frames);
      at::log_softmax(logits, 1).select(1, 0).sum().backward();
      for (const auto& item : model->named_parameters()) {
        if (item.key() == "masked_spec_embed") continue;  // nothing was masked
        CAPTURE(item.key());
        REQUIRE(item.value().grad().defined());
        CHECK(item.value().grad().norm().item<double>() > 0);
      }
    }
  }
}

TEST_CASE("masked frames have the embedding's features, whatever was there", "[lstm]") {
  HubertModel model = fixture_model("forward");
  const torch::NoGradGuard no_grad;
  HubertForwardOptions options;
  options.time_mask = torch::zeros({1, 12}, torch::kBool);
  options.time_mask[0].narrow(0, 0, 5).fill_(true);
  std::vector<float> other = waveform();
  for (int i = 0; i < 1400; ++i) other[static_cast<size_t>(i)] = 0.1f;  // seen by the first five frames alone
  const at::Tensor masked = run(model, {waveform()}, options).final[0];
  CHECK(relative_distance(run(model, {other}, options).final[0].narrow(0, 0, 5), masked.narrow(0, 0, 5)) ==
        0);
  CHECK(relative_distance(run(model, {waveform()}).final[0].narrow(0, 0, 5), masked.narrow(0, 0, 5)) > 1e-2);
}

TEST_CASE("fresh LSTM weights are uniform within one over the root of the units", "[lstm]") {
  ModelConfig config = read_model_config(fixture("both"));
  config.lstm_hidden = 64;
  config.hidden = 128;
  torch::manual_seed(3);
  const HubertModel model(config);
  const auto parameters = model->named_parameters();
  const double bound = 1 / std::sqrt(64.0);
  for (const char* name : {"encoder.lstm.0.weight_ih", "encoder.lstm.1.weight_ih_reverse",
                           "encoder.lstm.2.weight_hh", "encoder.lstm.0.bias_hh_reverse"}) {
    CAPTURE(name);
    const double largest = parameters[name].abs().max().item<double>();
    CHECK(largest <= bound);
    CHECK(largest > 0.9 * bound);
    CHECK(parameters[name].std().item<double>() == Approx(bound / std::sqrt(3.0)).epsilon(0.1));
  }
  const double head = 1 / std::sqrt(128.0);
  CHECK(parameters["class_head.weight"].abs().max().item<double>() <= head);
  CHECK(parameters["class_head.weight"].abs().max().item<double>() > 0.9 * head);
}

TEST_CASE("a model without a class head has no logits", "[lstm]") {
  ModelConfig config = read_model_config(fixture("both"));
  config.classes = 0;
  HubertModel model(config);
  CHECK_THROWS_WITH(model->label_logits(torch::zeros({1, 22})), Catch::Contains("no class head"));
}
