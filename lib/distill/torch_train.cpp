#include <torch/torch.h>

#include <chrono>
#include <cmath>

#include "base/log.h"
#include "base/progress.h"
#include "base/signals.h"
#include "base/threads.h"
#include "distill/torch_adamw.h"
#include "distill/train.h"
#include "model/model_folder.h"
#include "model/tensors.h"
#include "nn/hubert.h"
#include "nn/torch_device.h"

namespace retort {
namespace {

enum SeedPurpose : uint64_t { initial_weights = 11, dropout = 12, mask_spans = 13 };

constexpr std::size_t batches_ahead = 4;

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// Sums over the frames of one kind (masked or not) since the last report.
struct FrameTally {
  double loss = 0;
  int64_t frames = 0;
  int64_t correct = 0;
};

// What a line of log.jsonl is made of.
struct Tally {
  FrameTally masked;
  FrameTally unmasked;
  double feature_penalty = 0;
  double gradient_norm = 0;
  double audio_seconds = 0;
  double wait_seconds = 0;
  int64_t micro_batches = 0;
  int64_t updates = 0;
  at::Tensor target_counts;  // per class, over masked frames
  at::Tensor prediction_counts;
  std::chrono::steady_clock::time_point begun = std::chrono::steady_clock::now();
};

double perplexity(const at::Tensor& counts) {
  const at::Tensor shares = counts.to(at::kDouble) / counts.sum().clamp_min(1).to(at::kDouble);
  return std::exp(-at::xlogy(shares, shares).sum().item<double>());
}

double rounded(double value) {
  return std::stod(fmt::format("{:.6g}", value));
}

Json frame_report(const FrameTally& tally) {
  const double frames = static_cast<double>(std::max<int64_t>(tally.frames, 1));
  return {{"loss", rounded(tally.loss / frames)},
          {"accuracy", rounded(static_cast<double>(tally.correct) / frames)},
          {"frames", tally.frames}};
}

class Trainer {
 public:
  Trainer(const TrainingJob& job, TrainingSet& examples, const RunFolder& run)
      : job_(job),
        recipe_(job.recipe),
        examples_(examples),
        run_(run),
        device_(parse_device(job.device)),
        plan_(examples.samples(), recipe_.batch, recipe_.student.stride(), job.seed),
        model_(initial_model()),
        optimizer_(*model_, recipe_.optimizer) {}

  void run() {
    int64_t step = resume();
    const int64_t last = recipe_.schedule.steps;
    Prefetcher<std::vector<TrainingExamples>> batches(
        static_cast<std::size_t>(last - step), 1, batches_ahead,
        [this, step](std::size_t ahead) { return make_batch(step + static_cast<int64_t>(ahead)); });
    Progress progress("distill", "updates", static_cast<double>(last - step));
    model_->train();
    for (begin_tally(); step < last;) {
      update(step, batches);
      ++step;
      progress.advance(1);
      if (step % recipe_.report_every == 0 || step == last) report(step);
      if (step % recipe_.checkpoint_every == 0 && step < last) save(step);
      if (stop_signal() != 0 && step < last) {
        save(step);
        throw_if_stopped();
      }
    }
    finish();
  }

 private:
  HubertModel initial_model() {
    torch::manual_seed(mix_seed({job_.seed, initial_weights}));
    HubertModel model(recipe_.student);
    if (job_.start) start_from(*job_.start, model);
    model->to(device_);
    return model;
  }

  // Takes over every tensor of the same name and shape.
  static void start_from(const ModelWeights& start, HubertModel& model) {
    ModelWeights weights = model->weights();
    std::size_t taken = 0;
    for (auto& [name, tensor] : weights.tensors) {
      const auto found = start.tensors.find(name);
      if (found == start.tensors.end() || found->second.shape != tensor.shape) continue;
      tensor = found->second;
      ++taken;
    }
    if (taken == 0) fail("--init-from: no tensor of that model has a name and shape of the student's");
    model->load(weights);
    log_info("distill", "{} of {} tensors taken from --init-from", taken, weights.tensors.size());
  }

  // The update to go on from.
  int64_t resume() {
    const int64_t step = run_.newest_checkpoint().value_or(0);
    if (step > 0) {
      optimizer_.load(run_.checkpoint(step), step);
      log_info("distill", "going on from update {} of {}", step, recipe_.schedule.steps);
    }
    run_.cut_log_after(step);
    return step;
  }

  std::vector<TrainingExamples> make_batch(int64_t step) {
    std::vector<TrainingExamples> made;
    for (const MicroBatch& batch : plan_.batch(step))
      made.push_back(examples_.examples(
          batch, recipe_.masking,
          Random(mix_seed({job_.seed, mask_spans, static_cast<uint64_t>(step), made.size()}))));
    return made;
  }

  double learning_rate(int64_t step) const {
    const ScheduleOptions& schedule = recipe_.schedule;
    if (step < schedule.warmup_steps)
      return recipe_.optimizer.lr * static_cast<double>(step + 1) /
             static_cast<double>(schedule.warmup_steps);
    const auto left = static_cast<double>(schedule.steps - step);
    return recipe_.optimizer.lr * left /
           static_cast<double>(std::max<int64_t>(schedule.steps - schedule.warmup_steps, 1));
  }

  void update(int64_t step, Prefetcher<std::vector<TrainingExamples>>& batches) {
    const auto asked = std::chrono::steady_clock::now();
    std::vector<TrainingExamples> batch = batches.next();
    tally_.wait_seconds += seconds_since(asked);

    // Dropout follows from the step alone, so a resumed run draws what an unbroken one draws.
    torch::manual_seed(mix_seed({job_.seed, dropout, static_cast<uint64_t>(step)}));
    optimizer_.zero_gradients();
    double predicted = 0;
    for (TrainingExamples& examples : batch) predicted += accumulate(examples, step);
    tally_.gradient_norm += optimizer_.step(learning_rate(step), predicted);
    ++tally_.updates;
  }

  // Adds one micro batch's gradient of the summed loss; returns how many frames the loss counts.
  double accumulate(TrainingExamples& examples, int64_t step) {
    const at::Tensor waveforms =
        at::from_blob(examples.waveforms.data(), {examples.rows, examples.samples}, at::kFloat).to(device_);
    const at::Tensor labels =
        at::from_blob(examples.labels.data(), {examples.rows, examples.frames}, at::kLong)
            .to(device_)
            .flatten();
    const at::Tensor masked =
        at::from_blob(examples.masked.data(), {examples.rows, examples.frames}, at::kByte)
            .to(device_)
            .to(at::kBool);
    HubertForwardOptions forward;
    forward.time_mask = masked;
    forward.feature_grad_mult = recipe_.feature_grad_mult;
    forward.feature_penalty = true;
    const HubertStates states = model_->forward(
        waveforms, std::vector<int64_t>(static_cast<std::size_t>(examples.rows), examples.samples), forward);
    const at::Tensor frames = states.final.flatten(0, 1);

    double predicted = 0;
    at::Tensor loss;
    const auto add_term = [&](const at::Tensor& chosen, double weight, FrameTally& tally,
                              bool count_classes) {
      at::AutoGradMode with_gradient(weight > 0);
      const at::Tensor term = prediction_loss(frames, labels, chosen, tally, count_classes);
      if (weight <= 0) return;
      loss = loss.defined() ? loss + weight * term : weight * term;
      predicted += static_cast<double>(chosen.numel());
    };
    const at::Tensor flat_mask = masked.flatten();
    add_term(flat_mask.nonzero().squeeze(1), recipe_.loss.masked, tally_.masked, true);
    add_term(flat_mask.logical_not().nonzero().squeeze(1), recipe_.loss.unmasked, tally_.unmasked, false);
    loss = loss + recipe_.loss.feature_penalty * predicted * states.feature_penalty;
    if (!std::isfinite(loss.item<double>()))
      fail(
          "the loss is not finite at update {}; lower optimizer.lr and run again (it goes on from update {})",
          step + 1, run_.newest_checkpoint().value_or(0));
    loss.backward();

    tally_.feature_penalty += states.feature_penalty.item<double>();
    tally_.audio_seconds += static_cast<double>(examples.rows * examples.samples) / model_rate;
    ++tally_.micro_batches;
    return predicted;
  }

  // Summed cross-entropy of the chosen frames.
  at::Tensor prediction_loss(const at::Tensor& frames, const at::Tensor& labels, const at::Tensor& chosen,
                             FrameTally& tally, bool count_classes) {
    const at::Tensor logits = model_->label_logits(frames.index_select(0, chosen));
    const at::Tensor targets = labels.index_select(0, chosen);
    const at::Tensor loss = at::cross_entropy_loss(logits, targets, {}, at::Reduction::Sum);
    const at::Tensor predictions = logits.detach().argmax(-1);
    tally.loss += loss.item<double>();
    tally.frames += chosen.numel();
    tally.correct += predictions.eq(targets).sum().item<int64_t>();
    if (count_classes) {
      tally_.target_counts += at::bincount(targets, {}, recipe_.student.classes);
      tally_.prediction_counts += at::bincount(predictions, {}, recipe_.student.classes);
    }
    return loss;
  }

  void begin_tally() {
    tally_ = Tally();
    tally_.target_counts = at::zeros({recipe_.student.classes}, at::TensorOptions(device_).dtype(at::kLong));
    tally_.prediction_counts = at::zeros_like(tally_.target_counts);
  }

  void report(int64_t step) {
    const double wall = seconds_since(tally_.begun);
    const Json line = {
        {"step", step},
        {"epoch", step / plan_.batches_per_epoch()},
        {"lr", rounded(learning_rate(step - 1))},
        {"masked", frame_report(tally_.masked)},
        {"unmasked", frame_report(tally_.unmasked)},
        {"feature_penalty", rounded(tally_.feature_penalty / static_cast<double>(tally_.micro_batches))},
        {"target_perplexity", rounded(perplexity(tally_.target_counts))},
        {"prediction_perplexity", rounded(perplexity(tally_.prediction_counts))},
        {"gradient_norm", rounded(tally_.gradient_norm / static_cast<double>(tally_.updates))},
        {"audio_seconds", rounded(tally_.audio_seconds)},
        {"audio_per_second", rounded(tally_.audio_seconds / wall)},
        {"data_wait_share", rounded(tally_.wait_seconds / wall)},
        {"seconds", rounded(wall)}};
    run_.log(line);
    log_info("distill",
             "update {} of {}: masked loss {:.3f} accuracy {:.3f}, unmasked loss {:.3f} accuracy {:.3f}, "
             "{:.4g} s of audio/s",
             step, recipe_.schedule.steps, line["masked"]["loss"].get<double>(),
             line["masked"]["accuracy"].get<double>(), line["unmasked"]["loss"].get<double>(),
             line["unmasked"]["accuracy"].get<double>(), tally_.audio_seconds / wall);
    begin_tally();
  }

  void save(int64_t step) {
    optimizer_.save(run_.checkpoint(step));
    run_.keep_only_checkpoint(step);
  }

  void finish() {
    ModelWeights student = model_->weights();
    student.provenance = job_.provenance;
    student.provenance["steps"] = recipe_.schedule.steps;
    write_model(run_.student(), source_of(student));
    log_info("distill", "student written to {}: {} parameters, hash {}", run_.student().string(),
             count_parameters(student.config).backbone, student.hash());
  }

  const TrainingJob& job_;
  const Recipe& recipe_;
  TrainingSet& examples_;
  const RunFolder& run_;
  at::Device device_;
  BatchPlan plan_;
  HubertModel model_;
  AdamW optimizer_;
  Tally tally_;
};

}  // namespace

void train(const TrainingJob& job, TrainingSet& examples, const RunFolder& run) {
  at::set_num_threads(job.threads > 0 ? job.threads : available_threads());
  Trainer(job, examples, run).run();
}

}  // namespace retort
