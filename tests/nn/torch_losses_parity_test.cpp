// Losses, and the gradients of whole training steps, against what the reference implementations compute
// (tests/fixtures/losses).
#include <torch/torch.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <functional>
#include <map>

#include "model/checkpoint.h"
#include "nn/hubert.h"
#include "nn/torch_losses.h"
#include "store/safetensors.h"

using namespace retort;
namespace fs = std::filesystem;

namespace {

// Of losses and gradients, relative.
constexpr double bound = 1e-5;
constexpr double rounding = 3e-4;  // of whole models in f32

fs::path fixture(const std::string& name) {
  return fs::path(RETORT_FIXTURES) / "losses" / name;
}

class Tensors {
 public:
  explicit Tensors(const fs::path& path) : file_(path) {}

  at::Tensor operator[](const std::string& name) const {
    const TensorView& view = file_.tensors().at(name);
    const std::map<std::string, at::ScalarType> types = {
        {"I64", at::kLong}, {"U8", at::kByte}, {"F32", at::kFloat}, {"F64", at::kDouble}};
    return torch::from_blob(const_cast<std::byte*>(view.data), view.shape, types.at(view.dtype)).clone();
  }

 private:
  SafetensorsFile file_;
};

// Largest difference over the RMS of what is expected.
double largest_difference(const at::Tensor& found, const at::Tensor& expected) {
  REQUIRE(found.sizes() == expected.sizes());
  return (found - expected).abs().max().item<double>() / expected.square().mean().sqrt().item<double>();
}

// --- Losses of predictions and logits ---

void check_term(const Tensors& terms, const std::string& name, const FrameLoss& loss, const at::Tensor& at) {
  INFO(name);
  const at::Tensor mean = loss.sum / static_cast<double>(loss.frames);
  const at::Tensor slopes = torch::autograd::grad({mean}, {at}, {}, /*retain_graph=*/true)[0];
  CHECK(mean.item<double>() == Approx(terms[name + "/loss"].item<double>()).epsilon(bound));
  CHECK(largest_difference(slopes, terms[name + "/gradient"].to(at::kFloat)) < bound);
}

// --- Training steps ---

// Two clips, the second of which may end early.
struct Batch {
  at::Tensor waveforms;  // (2, samples)
  std::vector<int64_t> lengths;
};

constexpr int64_t short_clip = 3037;  // SHORT of make.py

Batch equal_batch(const Tensors& step) {
  const at::Tensor waveforms = step["waveforms"];
  return {waveforms, {waveforms.size(1), waveforms.size(1)}};
}

Batch padded_batch(const Tensors& step) {
  Batch batch = equal_batch(step);
  batch.lengths[1] = short_clip;
  batch.waveforms[1].narrow(0, short_clip, batch.lengths[0] - short_clip).zero_();
  return batch;
}

// (batch, longest) bool: frames that belong to their utterance.
at::Tensor frames_within(const std::vector<int64_t>& frames, int64_t longest) {
  return torch::arange(longest).unsqueeze(0) < torch::tensor(frames, at::kLong).unsqueeze(1);
}

// In f64 the references' gradients, value by value. In f32, as which students train, as vectors, with room
// for rounding: the conv stack's gradients come through GroupNorm as small differences of large terms, and
// the references' own in f32 are up to 5e-5 away from those in f64.
void check_gradient(const at::Tensor& found, const at::Tensor& expected, const at::Tensor& scale) {
  REQUIRE(found.sizes() == expected.sizes());
  const at::Tensor difference = found.to(at::kDouble) - expected.to(at::kDouble);
  if (found.scalar_type() == at::kDouble) {
    CHECK(difference.abs().max().item<double>() < bound * scale.square().mean().sqrt().item<double>());
  } else {
    CHECK(difference.norm().item<double>() < rounding * scale.norm().item<double>());
  }
}

// Every parameter's gradient is what the checkpoint holds in place of its values.
void check_gradients(HubertModel& model, const ModelWeights& expected) {
  const auto golden = [&](const std::string& name) {
    const NamedTensor& tensor = expected.tensors.at(name);
    return torch::from_blob(const_cast<float*>(tensor.values.data()), tensor.shape);
  };
  const auto parameters = model->named_parameters();
  CHECK(parameters.size() == expected.tensors.size());
  for (const auto& parameter : parameters) {
    INFO(parameter.key());
    REQUIRE(parameter.value().grad().defined());
    // Attention does not change when all keys move alike: their bias gets rounding errors and nothing else.
    std::string scale = parameter.key();
    if (const size_t at = scale.find("k_proj.bias"); at != std::string::npos) scale[at] = 'q';
    check_gradient(parameter.value().grad(), golden(parameter.key()), golden(scale));
  }
}

struct Method {
  std::string name;
  fs::path config;        // of read_checkpoint
  std::string extension;  // of checkpoints
  // Summed over frames or their mean, as the reference has it.
  std::function<at::Tensor(HubertModel&, const Batch&, const Tensors& step)> loss;
};

// Loss and gradients of one batch; returns the loss.
double check_batch(const Method& method, const Tensors& step, Batch batch, const std::string& expected,
                   at::ScalarType type) {
  const auto read = [&](const std::string& name) {
    return read_weights(open_checkpoint(fixture(method.name) / (name + method.extension), method.config));
  };
  HubertModel model(read("student"));
  model->eval();
  model->to(type);
  batch.waveforms = batch.waveforms.to(type);
  const at::Tensor loss = method.loss(model, batch, step);
  loss.backward();
  CHECK(loss.item<double>() == Approx(step[expected].item<double>()).epsilon(bound));
  check_gradients(model, read(expected));
  return loss.item<double>();
}

void check_step(const Method& method) {
  const Tensors step(fixture(method.name) / "step.safetensors");
  for (const at::ScalarType type : {at::kDouble, at::kFloat}) {
    INFO(c10::toString(type));
    {
      INFO("clips of one length");
      check_batch(method, step, equal_batch(step), "equal", type);
    }
    {
      INFO("clips of two lengths, of which the reference counts the padding");
      const double loss = check_batch(method, step, padded_batch(step), "alone", type);
      const double with_padding = step["padded"].item<double>();
      CHECK(std::abs(loss - with_padding) > 10 * bound * with_padding);
    }
  }
}

at::Tensor hubert_loss(HubertModel& model, const Batch& batch, const Tensors& step) {
  const at::Tensor labels = step["labels"].flatten();
  HubertForwardOptions options;
  options.time_mask = step["masked"].to(at::kBool);
  options.feature_grad_mult = 0.1;
  options.feature_penalty = true;
  const HubertStates states = model->forward(batch.waveforms, batch.lengths, options);
  const at::Tensor frames = states.final.flatten(0, 1);
  const auto prediction = [&](const at::Tensor& chosen) {
    const at::Tensor rows = chosen.flatten().nonzero().squeeze(1);
    return cross_entropy(model->label_logits(frames.index_select(0, rows)), labels.index_select(0, rows));
  };
  const at::Tensor valid = frames_within(states.frames, states.final.size(1));
  const FrameLoss masked = prediction(valid.logical_and(options.time_mask));
  const FrameLoss unmasked = prediction(valid.logical_and(options.time_mask.logical_not()));
  return masked.sum + 0.5 * unmasked.sum + 10.0 * static_cast<double>(masked.frames) * states.feature_penalty;
}

std::vector<at::Tensor> teacher_layers(const Batch& batch) {
  HubertModel teacher(read_weights(open_checkpoint(fixture("teacher/hubert.ckpt"), {})));
  teacher->eval();
  teacher->to(batch.waveforms.scalar_type());
  // With gradient, since without it the conv stack knows f32 only; the losses let none through.
  return teacher->forward(batch.waveforms, batch.lengths).enc;
}

at::Tensor distilhubert_loss(HubertModel& model, const Batch& batch, const Tensors&) {
  HubertForwardOptions options;
  options.feature_grad_mult = 0.1;
  options.prediction_heads = true;
  const HubertStates states = model->forward(batch.waveforms, batch.lengths, options);
  const std::vector<at::Tensor> targets = teacher_layers(batch);
  const at::Tensor valid = frames_within(states.frames, states.proj.size(1));
  at::Tensor sum = torch::zeros({}, batch.waveforms.options());
  int64_t frames = 0;
  for (size_t i = 0; i < states.heads.size(); ++i) {
    const at::Tensor& target = targets.at(static_cast<size_t>(model->config().prediction.layers[i]));
    const FrameLoss l1 = l1_distance(states.heads[i], target, valid);
    sum = sum + l1.sum + cosine_dissimilarity(states.heads[i], target, valid).sum;
    frames += l1.frames;
  }
  return sum / static_cast<double>(frames);
}

at::Tensor fithubert_loss(HubertModel& model, const Batch& batch, const Tensors&) {
  HubertForwardOptions options;
  options.prediction_heads = true;
  const HubertStates states = model->forward(batch.waveforms, batch.lengths, options);
  const std::vector<at::Tensor> targets = teacher_layers(batch);
  std::vector<int64_t> frames = states.block_frames;
  for (int64_t& count : frames) count *= model->config().time_reduction;
  at::Tensor loss = torch::zeros({}, batch.waveforms.options());
  for (size_t i = 0; i < states.heads.size(); ++i) {
    const at::Tensor& prediction = states.heads[i];
    const at::Tensor target = targets.at(i + 1).narrow(1, 0, prediction.size(1));
    const FrameLoss hint = squared_distance(prediction, target, frames_within(frames, prediction.size(1)));
    loss = loss + (i + 1 < states.heads.size() ? 0.1 : 1.0) * hint.sum / static_cast<double>(hint.frames);
  }
  return loss;
}

}  // namespace

TEST_CASE("distances and their gradients are those of s3prl and FitHuBERT") {
  const Tensors terms(fixture("terms.safetensors"));
  const at::Tensor p = terms["prediction"].requires_grad_();
  const at::Tensor t = terms["target"];
  check_term(terms, "l1", l1_distance(p, t), p);
  check_term(terms, "cosine", cosine_dissimilarity(p, t), p);
  check_term(terms, "squared", squared_distance(p, t), p);
}

TEST_CASE("losses over classes and their gradients are those of mdistiller") {
  const Tensors terms(fixture("terms.safetensors"));
  const at::Tensor student = terms["student"].requires_grad_();
  const at::Tensor teacher = terms["teacher"];
  const at::Tensor labels = terms["labels"];
  check_term(terms, "cross-entropy", cross_entropy(student, labels), student);
  for (const int temperature : {1, 4}) {
    const std::string suffix = fmt::format("-{}", temperature);
    check_term(terms, "distillation" + suffix, distillation(student, teacher, temperature), student);
    const DecoupledLoss parts = decoupled_distillation(student, teacher, labels, temperature);
    check_term(terms, "target-class" + suffix, parts.target_class, student);
    check_term(terms, "other-classes" + suffix, parts.other_classes, student);
  }
}

TEST_CASE("a step of masked prediction has the loss and gradients of torchaudio's HuBERT") {
  check_step({"hubert", fixture("hubert/config.json"), ".pth", hubert_loss});
}

TEST_CASE("a step of DistilHuBERT has the loss and gradients of s3prl") {
  check_step({"distilhubert", {}, ".ckpt", distilhubert_loss});
}

TEST_CASE("a step of FitHuBERT has the loss and gradients of its authors' code") {
  check_step({"fithubert", fixture("fithubert/config.yaml"), ".ckpt", fithubert_loss});
}
