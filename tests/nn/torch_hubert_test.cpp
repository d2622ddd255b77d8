#include <ATen/autocast_mode.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <random>

#include "model/model_folder.h"
#include "model/tensors.h"
#include "nn/hubert.h"
#include "nn/torch_device.h"
#include "store/npy.h"
#include "torch_goldens.h"

using namespace retort;
namespace fs = std::filesystem;

namespace {

fs::path fixture(const std::string& name) {
  return fs::path(RETORT_FIXTURES) / "model" / name;
}

std::vector<float> fixture_waveform(const ModelConfig& config) {
  const Matrix samples = read_npy_matrix(fixture("input.npy"));
  return normalise_waveform({samples.values().begin(), samples.values().end()}, config.wave_norm);
}

at::Tensor golden(const std::string& model, const std::string& layer) {
  return read_golden(fixture(model) / (layer + ".npy"));
}

// A small model with random weights: of Base's form, or of Large's with pre_norm.
ModelConfig small_config(bool pre_norm = false) {
  ModelConfig config;
  for (ConvLayerShape& layer : config.conv) layer.channels = 12;
  config.conv_norm = pre_norm ? ConvNorm::layer : ConvNorm::group;
  config.hidden = 24;
  config.layers = 3;
  config.heads = 4;
  config.ffn = 40;
  config.pos_kernel = 16;
  config.pos_groups = 4;
  config.pre_norm = pre_norm;
  config.final_dim = 8;
  config.classes = 10;
  return config;
}

HubertModel small_model(const ModelConfig& config = small_config()) {
  torch::manual_seed(3);
  return HubertModel(config);
}

std::vector<float> noise(int64_t samples, unsigned seed) {
  std::mt19937 engine(seed);
  std::vector<float> wave(static_cast<size_t>(samples));
  float state = 0;
  for (float& value : wave) {
    state = 0.9f * state + 1e-10f * static_cast<float>(static_cast<int32_t>(engine()));
    value = state;
  }
  return wave;
}

std::vector<at::Tensor> all_states(const HubertStates& states) {
  std::vector<at::Tensor> all{states.conv, states.proj};
  all.insert(all.end(), states.enc.begin(), states.enc.end());
  all.push_back(states.final);
  return all;
}

HubertStates run(HubertModel& model, const std::vector<std::vector<float>>& waves,
                 const HubertForwardOptions& options = {}) {
  std::vector<int64_t> lengths;
  for (const auto& wave : waves) lengths.push_back(static_cast<int64_t>(wave.size()));
  return model->forward(pad_waveforms(waves), lengths, options);
}

double gradient_size(HubertModel& model, const std::string& name) {
  const at::Tensor gradient = model->named_parameters()[name].grad();
  return gradient.defined() ? gradient.norm().item<double>() : 0;
}

}  // namespace

TEST_CASE("every layer equals transformers' on random models of each form", "[hubert]") {
  for (const char* name : {"post", "pre", "bare"}) {
    HubertModel model(read_model_folder(fixture(name)));
    model->eval();
    for (const bool with_gradient : {false, true}) {
      const at::AutoGradMode mode(with_gradient);
      const HubertStates states = run(model, {fixture_waveform(model->config())});
      CHECK(relative_distance(states.conv[0], golden(name, "conv")) < 1e-5);
      CHECK(relative_distance(states.proj[0], golden(name, "proj")) < 1e-5);
      for (int i = 0; i <= model->config().layers; ++i)
        CHECK(relative_distance(states.enc[static_cast<size_t>(i)][0],
                                golden(name, fmt::format("enc{}", i))) < 1e-5);
      CHECK(relative_distance(states.final[0], golden(name, "final")) < 1e-5);
    }
  }
}

TEST_CASE("an utterance gives the same frames alone and in any batch", "[hubert]") {
  for (const bool pre_norm : {false, true}) {
    HubertModel model = small_model(small_config(pre_norm));
    model->eval();
    const torch::NoGradGuard no_grad;
    std::mt19937 engine(11);
    std::vector<std::vector<float>> waves;
    for (unsigned i = 0; i < 20; ++i) waves.push_back(noise(400 + engine() % 29601, i));
    waves[3].resize(400);
    for (const size_t batch_size : {3u, 20u}) {
      for (size_t begin = 0; begin < waves.size(); begin += batch_size) {
        const size_t end = std::min(begin + batch_size, waves.size());
        const auto together =
            run(model, {waves.begin() + static_cast<long>(begin), waves.begin() + static_cast<long>(end)});
        const auto batched = all_states(together);
        for (size_t i = begin; i < end; ++i) {
          const auto alone = all_states(run(model, {waves[i]}));
          const auto row = static_cast<int64_t>(i - begin);
          REQUIRE(together.frames[i - begin] ==
                  model->config().frames(static_cast<int64_t>(waves[i].size())));
          for (size_t s = 0; s < alone.size(); ++s) {
            const at::Tensor valid = batched[s][row].narrow(0, 0, alone[s].size(1));
            if (!(relative_distance(valid, alone[s][0]) < 1e-5)) FAIL("utterance " << i << ", state " << s);
          }
        }
      }
    }
  }
}

TEST_CASE("threads that take whole utterances compute what one forward of all does", "[hubert]") {
  ModelConfig config = small_config();
  config.pos_kernel = 64;  // wide enough for spectra, which are kept from one call to the next
  HubertModel model = small_model(config);
  model->eval();
  const std::vector<std::vector<float>> waves{noise(9000, 1), noise(400, 2), noise(16000, 3)};
  const int before = at::get_num_threads();
  at::set_num_threads(2);
  const HubertStates ours = model->infer(pad_waveforms(waves), {9000, 400, 16000});
  at::set_num_threads(before);
  const torch::NoGradGuard no_grad;
  const HubertStates theirs = run(model, waves);
  CHECK(ours.frames == theirs.frames);
  CHECK(ours.block_frames == theirs.block_frames);
  const auto a = all_states(ours), b = all_states(theirs);
  REQUIRE(a.size() == b.size());
  for (size_t state = 0; state < a.size(); ++state) {
    REQUIRE(a[state].sizes() == b[state].sizes());
    CHECK_FALSE(a[state].requires_grad());
    for (size_t row = 0; row < waves.size(); ++row) {
      const auto valid = [&](const at::Tensor& all) {
        return all[static_cast<int64_t>(row)].narrow(0, 0, theirs.frames[row]);
      };
      CHECK(relative_distance(valid(a[state]), valid(b[state])) < 1e-5);
    }
  }
}

TEST_CASE("the conv stack of inference equals that of training, over several pieces", "[hubert]") {
  for (const bool pre_norm : {false, true}) {
    ModelConfig config = small_config(pre_norm);
    config.conv_bias = pre_norm;
    config.conv = {{12, 10, 5}, {14, 3, 2}, {10, 5, 2}, {12, 2, 4}, {16, 1, 1}};
    HubertModel model = small_model(config);
    std::vector<float> wave = noise(40000, 8);
    for (float& sample : wave) sample = 1e-2f * sample + 0.3f;  // quiet, with an offset that hides most of it
    HubertModel exact(config);
    exact->load(model->weights());
    exact->to(torch::kDouble);
    const at::Tensor expected =
        exact->forward(pad_waveforms({wave}).to(torch::kDouble), {40000}).conv.detach();
    const torch::NoGradGuard no_grad;
    CHECK(relative_distance(run(model, {wave}).conv.to(torch::kDouble), expected) < 2e-5);
  }
}

TEST_CASE("what follows an utterance's end does not reach its frames, with gradient too", "[hubert]") {
  HubertModel model = small_model();
  model->eval();
  const auto clean = run(model, {noise(8000, 1), noise(5000, 2)});
  at::Tensor dirty_waves = pad_waveforms({noise(8000, 1), noise(5000, 2)});
  dirty_waves[1].narrow(0, 5000, 3000).fill_(0.5f);
  const auto dirty = model->forward(dirty_waves, {8000, 5000});
  const int64_t frames = clean.frames[1];
  CHECK(relative_distance(dirty.final[1].narrow(0, 0, frames), clean.final[1].narrow(0, 0, frames)) < 1e-6);
}

TEST_CASE("a forward stops after the block asked for", "[hubert]") {
  HubertModel model = small_model();
  model->eval();
  HubertForwardOptions options;
  options.last_block = 1;
  const HubertStates early = run(model, {noise(4000, 1)}, options);
  CHECK(early.enc.size() == 2);
  CHECK_FALSE(early.final.defined());
  CHECK(at::equal(early.enc[1], run(model, {noise(4000, 1)}).enc[1]));
}

TEST_CASE("a block without query and key looks where the block before it does", "[hubert]") {
  ModelConfig config = small_config();
  config.type = "fithubert";
  config.attention_period = 2;
  config.layerdrop = 0;
  config.classes = config.final_dim = 0;
  HubertModel model = small_model(config);
  model->eval();
  const at::NoGradGuard no_grad;
  for (const at::Tensor& parameter : model->parameters()) parameter.normal_(0, 0.2);
  const auto named = model->named_parameters();
  CHECK(named.find("encoder.layers.1.attention.q_proj.weight") == nullptr);
  REQUIRE(named.find("encoder.layers.2.attention.q_proj.weight") != nullptr);
  const auto linear = [&](const at::Tensor& x, const std::string& name) {
    return at::linear(x, named[name + ".weight"], named[name + ".bias"]);
  };
  const auto norm = [&](const at::Tensor& x, const std::string& name) {
    return at::layer_norm(x, {config.hidden}, named[name + ".weight"], named[name + ".bias"]);
  };
  const HubertStates states = model->forward(pad_waveforms({noise(9000, 1)}), {9000});
  // Head by head, with block 0's queries and keys of block 0's input.
  const std::string block = "encoder.layers.1.";
  const at::Tensor query = linear(states.enc[0], "encoder.layers.0.attention.q_proj")[0],
                   key = linear(states.enc[0], "encoder.layers.0.attention.k_proj")[0],
                   value = linear(states.enc[1], block + "attention.v_proj")[0];
  const int width = config.hidden / config.heads;
  std::vector<at::Tensor> heads;
  for (int head = 0; head < config.heads; ++head) {
    const auto part = [&](const at::Tensor& x) { return x.narrow(1, head * width, width); };
    heads.push_back(at::softmax(part(query).mm(part(key).t()) / std::sqrt(width), -1).mm(part(value)));
  }
  const at::Tensor attended =
      norm(states.enc[1] + linear(at::cat(heads, 1).unsqueeze(0), block + "attention.out_proj"),
           block + "layer_norm");
  const at::Tensor inner = at::gelu(linear(attended, block + "feed_forward.intermediate_dense"));
  const at::Tensor output =
      norm(attended + linear(inner, block + "feed_forward.output_dense"), block + "final_layer_norm");
  CHECK(relative_distance(states.enc[2], output) < 1e-5);
}

TEST_CASE("masked frames are replaced by the mask embedding", "[hubert]") {
  HubertModel model = small_model();
  model->eval();
  const auto plain = run(model, {noise(4000, 1)});
  HubertForwardOptions options;
  options.time_mask = torch::ones({1, plain.frames[0]}, torch::kBool);
  const auto all_masked = run(model, {noise(4000, 1)}, options);
  const auto other_wave = run(model, {noise(4000, 2)}, options);
  CHECK(at::equal(all_masked.final, other_wave.final));  // nothing of the waveform is left
  CHECK(at::equal(all_masked.proj, plain.proj));

  ModelConfig without = small_config();
  without.mask_embedding = false;
  HubertModel bare = small_model(without);
  CHECK_THROWS_WITH(run(bare, {noise(4000, 1)}, options), Catch::Contains("no mask embedding"));
}

TEST_CASE("feature_grad_mult scales what reaches the conv stack and nothing else", "[hubert]") {
  const std::string conv = "feature_extractor.conv_layers.3.conv.weight";
  const std::string late = "encoder.layers.1.attention.q_proj.weight";
  std::map<double, std::pair<double, double>> sizes;
  for (const double factor : {1.0, 0.1, 0.0}) {
    HubertModel model = small_model();
    model->eval();
    HubertForwardOptions options;
    options.feature_grad_mult = factor;
    const at::Tensor states = run(model, {noise(4000, 1), noise(3000, 2)}, options).final;
    const at::Tensor direction = torch::arange(states.numel()).view_as(states).remainder(7);
    (states * direction).sum().backward();
    sizes[factor] = {gradient_size(model, conv), gradient_size(model, late)};
  }
  CHECK(sizes[0.1].first == Approx(0.1 * sizes[1.0].first).epsilon(1e-4));
  CHECK(sizes[0.0].first == 0);
  CHECK(sizes[1.0].first > 0);
  CHECK(sizes[0.1].second == Approx(sizes[1.0].second).epsilon(1e-4));
  CHECK(sizes[0.0].second == Approx(sizes[1.0].second).epsilon(1e-4));
}

TEST_CASE("the feature penalty is the mean square over valid frames", "[hubert]") {
  HubertModel model = small_model();
  model->eval();
  HubertForwardOptions options;
  options.feature_penalty = true;
  const HubertStates states = run(model, {noise(4000, 1), noise(2000, 2)}, options);
  double sum = 0;
  int64_t count = 0;
  for (int64_t i = 0; i < 2; ++i) {
    const at::Tensor valid = states.conv[i].narrow(0, 0, states.frames[static_cast<size_t>(i)]);
    sum += valid.square().sum().item<double>();
    count += valid.numel();
  }
  CHECK(states.feature_penalty.item<double>() == Approx(sum / static_cast<double>(count)).epsilon(1e-5));
}

TEST_CASE("training is random, repeats from a saved generator, and drops whole layers", "[hubert]") {
  ModelConfig config = small_config();
  config.layerdrop = 0.5;
  HubertModel model = small_model(config);
  model->train();
  const torch::NoGradGuard no_grad;
  torch::manual_seed(5);
  const at::Tensor first = run(model, {noise(4000, 1)}).final;
  const at::Tensor second = run(model, {noise(4000, 1)}).final;
  torch::manual_seed(5);
  CHECK(at::equal(run(model, {noise(4000, 1)}).final, first));
  CHECK_FALSE(at::equal(first, second));
  int dropped = 0;
  constexpr int trials = 60;
  for (int i = 0; i < trials; ++i) {
    const HubertStates states = run(model, {noise(800, 1)});
    for (size_t block = 1; block < states.enc.size(); ++block)
      dropped += at::equal(states.enc[block], states.enc[block - 1]);
  }
  CHECK(dropped > 3 * trials * 0.3);
  CHECK(dropped < 3 * trials * 0.7);
}

TEST_CASE("fresh weights are distributed as fairseq draws them", "[hubert]") {
  ModelConfig config = small_config();
  for (ConvLayerShape& layer : config.conv) layer.channels = 64;
  config.hidden = 96;
  config.ffn = 384;
  HubertModel model = small_model(config);
  const auto parameters = model->named_parameters();
  const auto spread = [&](const std::string& name) { return parameters[name].std().item<double>(); };
  CHECK(spread("feature_extractor.conv_layers.1.conv.weight") ==
        Approx(std::sqrt(2.0 / (64 * 3))).epsilon(0.05));
  CHECK(spread("encoder.layers.0.attention.k_proj.weight") == Approx(0.02).epsilon(0.05));
  CHECK(spread("encoder.layers.2.feed_forward.output_dense.weight") == Approx(0.02).epsilon(0.05));
  CHECK(spread("encoder.pos_conv_embed.conv.weight_v") == Approx(std::sqrt(4.0 / (16 * 96))).epsilon(0.05));
  CHECK(parameters["encoder.layers.0.attention.k_proj.bias"].abs().max().item<double>() == 0);
  CHECK(parameters["encoder.layers.1.final_layer_norm.weight"].min().item<double>() == 1);
  CHECK(parameters["label_embeddings"].min().item<double>() >= 0);
  CHECK(parameters["label_embeddings"].max().item<double>() > 0.9);
  const at::Tensor direction = parameters["encoder.pos_conv_embed.conv.weight_v"];
  const at::Tensor lengths = direction.square().sum(at::IntArrayRef{0, 1}, true).sqrt();
  CHECK(relative_distance(parameters["encoder.pos_conv_embed.conv.weight_g"], lengths) < 1e-5);
}

TEST_CASE("parameters carry the names of the list, and weights go out and in unchanged", "[hubert]") {
  HubertModel model = small_model();
  const ModelWeights weights = model->weights();
  for (const TensorSpec& spec : model_tensors(model->config())) {
    REQUIRE(model->named_parameters().contains(spec.name));
    CHECK(weights.tensors.at(spec.name).shape == spec.shape);
  }
  CHECK(model->parameters().size() == weights.tensors.size());
  torch::manual_seed(99);
  HubertModel other(model->config());
  other->eval();
  run(other, {noise(4000, 1)});
  other->load(weights);  // also has to renew the positional weight that the forward before kept
  model->eval();
  const torch::NoGradGuard no_grad;
  CHECK(at::equal(run(other, {noise(4000, 1)}).final, run(model, {noise(4000, 1)}).final));
}

TEST_CASE("label logits are cosines over the temperature", "[hubert]") {
  HubertModel model = small_model();
  model->eval();
  const at::Tensor states = torch::randn({2, 5, 24});
  const at::Tensor logits = model->label_logits(states);
  REQUIRE(logits.sizes() == at::IntArrayRef{2, 5, 10});
  CHECK(logits.abs().max().item<double>() <= 10.0001);
  const auto parameters = model->named_parameters();
  const at::Tensor projected =
      at::linear(states, parameters["final_proj.weight"], parameters["final_proj.bias"])[1][3];
  const at::Tensor cosine = at::cosine_similarity(projected.unsqueeze(0), parameters["label_embeddings"], 1);
  CHECK(relative_distance(logits[1][3], cosine / 0.1) < 1e-5);
}

TEST_CASE("devices that are not there are refused", "[hubert]") {
  CHECK(parse_device("cpu") == at::Device(at::kCPU));
  for (const char* text : {"gpu", "cuda:", "cuda:-1", ""})
    CHECK_THROWS_WITH(parse_device(text), Catch::Contains("not known"));
  if (!torch::cuda::is_available()) CHECK_THROWS_WITH(parse_device("cuda"), Catch::Contains("no CUDA here"));
}

TEST_CASE("too short a waveform has no frame and is refused", "[hubert]") {
  HubertModel model = small_model();
  CHECK_THROWS_WITH(run(model, {noise(399, 1)}), Catch::Contains("399 samples has no frame"));
}

TEST_CASE("label logits are cosines in f32 under autocast too") {
  HubertModel model = small_model();
  const auto parameters = model->named_parameters();
  const auto half = [&](const std::string& name) { return parameters[name].to(torch::kBFloat16); };
  const at::Tensor states = torch::randn({5, model->config().hidden});
  const at::Tensor projected =
      at::linear(states.to(torch::kBFloat16), half("final_proj.weight"), half("final_proj.bias"))
          .to(torch::kFloat32);
  const at::Tensor expected =
      at::cosine_similarity(projected.unsqueeze(1), parameters["label_embeddings"].unsqueeze(0), 2) * 10;
  at::autocast::set_autocast_enabled(at::kCPU, true);
  const at::Tensor logits = model->label_logits(states);
  at::autocast::set_autocast_enabled(at::kCPU, false);
  CHECK(logits.scalar_type() == torch::kFloat32);
  CHECK(relative_distance(logits, expected) < 1e-6);
}
