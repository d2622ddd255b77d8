#include <torch/torch.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/log.h"
#include "base/progress.h"
#include "base/signals.h"
#include "base/threads.h"
#include "distill/torch_adamw.h"
#include "distill/torch_metrics.h"
#include "distill/torch_objective.h"
#include "distill/torch_student.h"
#include "distill/train.h"
#include "model/model_folder.h"
#include "model/tensors.h"
#include "nn/torch_device.h"

namespace retort {
namespace {

enum SeedPurpose : uint64_t { dropout = 12, mask_spans = 13, validation_masks = 14 };

constexpr double seconds_ahead = 400;  // of audio that is made ready before its update
constexpr double most_batches_ahead = 4;
// Where a student's predictions vary this little beside their targets, it has collapsed.
constexpr double least_spread = 0.02;
constexpr double least_perplexity = 0.02;

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

std::unique_ptr<TrainingObjective> objective_of(const TrainingJob& job, const at::Device& device) {
  Teacher teacher;
  if (job.teacher && !job.recipe.needs_labels()) teacher.model = HubertModel(*job.teacher);
  teacher.codebook = job.codebook;
  return make_objective(job.recipe, job.recipe.student, std::move(teacher), device);
}

// The losses of a student on a whole set, as validation reports them.
Json validation_report(const TrainingJob& job, const TrainingObjective& objective, TrainingSet& set,
                       HubertModel& student, const at::Device& device) {
  const at::NoGradGuard no_grad;
  student->eval();
  const Batch batches = validation_batches(set.samples(), job.recipe.batch);
  Prefetcher<TrainingExamples> examples(batches.size(), 1, 2, [&](std::size_t i) {
    return set.examples(batches[i], Random(mix_seed({job.seed, validation_masks, i})));
  });
  Metrics metrics;
  double seconds = 0;
  while (!examples.done()) {
    throw_if_stopped();
    TrainingExamples next = examples.next();
    const BatchLoss loss = objective.loss(TrainingBatch(next, device), student, metrics);
    metrics.add("loss", loss.sum, loss.frames);
    seconds += next.seconds();
  }
  Json report = {{"loss", report_number(metrics.mean("loss"))}};
  report.update(metrics.report());
  report["utterances"] = set.samples().size();
  report["audio_seconds"] = report_number(seconds);
  return report;
}

// What is gathered between two lines of log.jsonl.
struct Interval {
  Metrics metrics;
  double audio_seconds = 0;
  double padded_seconds = 0;
  double wait_seconds = 0;
  Clock::time_point begun = Clock::now();
};

class Trainer {
 public:
  Trainer(const TrainingJob& job, TrainingSet& training, TrainingSet* validation, const RunFolder& run)
      : job_(job),
        recipe_(job.recipe),
        training_(training),
        validation_(validation),
        run_(run),
        device_(parse_device(job.device)),
        plan_(training.samples(), recipe_.batch, recipe_.student.stride(), job.seed),
        student_(initial_student(job)),
        objective_(objective_of(job, device_)) {
    student_->to(device_);
    optimizer_ = std::make_unique<AdamW>(*student_, recipe_.optimizer);
  }

  void run() {
    int64_t step = resume();
    const int64_t last = recipe_.schedule.steps;
    const auto ahead = std::clamp(seconds_ahead / recipe_.batch.seconds, 1.0, most_batches_ahead);
    Prefetcher<std::vector<TrainingExamples>> batches(
        static_cast<std::size_t>(last - step), 1, static_cast<std::size_t>(ahead),
        [this, step](std::size_t i) { return make_batch(step + static_cast<int64_t>(i)); });
    Progress progress("distill", "updates", static_cast<double>(last - step));
    student_->train();
    for (interval_ = Interval(); step < last;) {
      update(step, batches);
      ++step;
      progress.advance(1);
      if (step % recipe_.report_every == 0 || step == last) report(step);
      if (validation_ != nullptr && (step % recipe_.validate_every == 0 || step == last)) validate(step);
      if (step % recipe_.checkpoint_every == 0 && step < last) save(step);
      if (stop_signal() != 0 && step < last) {
        save(step);
        throw_if_stopped();
      }
    }
    finish();
  }

 private:
  // The update to go on from.
  int64_t resume() {
    const int64_t step = run_.newest_checkpoint().value_or(0);
    if (step > 0) {
      optimizer_->load(run_.checkpoint(step), step);
      log_info("distill", "going on from update {} of {}", step, recipe_.schedule.steps);
    }
    run_.cut_log_after(step);
    best_validation_ = run_.best_validation();
    return step;
  }

  std::vector<TrainingExamples> make_batch(int64_t step) {
    std::vector<TrainingExamples> made;
    for (const MicroBatch& batch : plan_.batch(step))
      made.push_back(training_.examples(
          batch, Random(mix_seed({job_.seed, mask_spans, static_cast<uint64_t>(step), made.size()}))));
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
    const auto asked = Clock::now();
    std::vector<TrainingExamples> batch = batches.next();
    interval_.wait_seconds += seconds_since(asked);

    optimizer_->zero_gradients();
    std::vector<BatchLoss> losses;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      // Dropout follows from the place of the micro batch alone, so a resumed run draws what an unbroken one
      // draws.
      torch::manual_seed(mix_seed({job_.seed, dropout, static_cast<uint64_t>(step), i}));
      losses.push_back(accumulate(batch[i]));
    }
    double frames = 0;
    for (const BatchLoss& loss : losses) frames += loss.frames;
    const double norm = optimizer_->step(learning_rate(step), frames);
    if (!std::isfinite(norm)) refuse_update(step, batch, losses);
    interval_.metrics.add("gradient_norm", norm, 1);
  }

  // Adds one micro batch's gradient of the summed loss.
  BatchLoss accumulate(TrainingExamples& examples) {
    const BatchLoss loss = objective_->loss(TrainingBatch(examples, device_), student_, interval_.metrics);
    loss.sum.backward();
    interval_.metrics.add("loss", loss.sum, loss.frames);
    interval_.audio_seconds += examples.seconds();
    interval_.padded_seconds += static_cast<double>(examples.rows() * examples.samples) / model_rate;
    return {loss.sum.detach(), loss.frames};
  }

  [[noreturn]] void refuse_update(int64_t step, const std::vector<TrainingExamples>& batch,
                                  const std::vector<BatchLoss>& losses) const {
    Json micro_batches = Json::array();
    for (std::size_t i = 0; i < batch.size(); ++i)
      micro_batches.push_back({{"loss", report_number(losses[i].sum.item<double>() / losses[i].frames)},
                               {"utterances", batch[i].ids}});
    const auto file = run_.write_failure(
        step + 1, {{"step", step + 1}, {"lr", learning_rate(step)}, {"micro_batches", micro_batches}});
    fail(
        "the loss or its gradient is not finite at update {} (its utterances: {}); lower optimizer.lr or "
        "leave "
        "them out, and run again (it goes on from update {})",
        step + 1, file.string(), run_.newest_checkpoint().value_or(0));
  }

  void report(int64_t step) {
    const double wall = seconds_since(interval_.begun);
    const Json terms = interval_.metrics.report();
    Json line = {{"step", step},
                 {"epoch", step / plan_.batches_per_epoch()},
                 {"lr", report_number(learning_rate(step - 1))},
                 {"loss", terms["loss"]}};
    line.update(terms);
    line.update({{"pad_share", report_number(1 - interval_.audio_seconds / interval_.padded_seconds)},
                 {"audio_seconds", report_number(interval_.audio_seconds)},
                 {"audio_per_second", report_number(interval_.audio_seconds / wall)},
                 {"data_wait_share", report_number(interval_.wait_seconds / wall)},
                 {"seconds", report_number(wall)}});
    run_.log(line);
    log_info("distill", "update {} of {}: {}, {:.4g} s of audio/s", step, recipe_.schedule.steps,
             headline(interval_.metrics), interval_.audio_seconds / wall);
    if (step > recipe_.schedule.warmup_steps) warn_of_collapse(line);
    interval_ = Interval();
  }

  std::string headline(const Metrics& metrics) const {
    std::string text = fmt::format("loss {:.4g}", metrics.mean("loss"));
    for (const std::string& name : objective_->headline()) {
      std::string words = name;
      std::replace(words.begin(), words.end(), '.', ' ');
      text += fmt::format(", {} {:.3f}", words, metrics.mean(name));
    }
    return text;
  }

  // Says once that the student answers everything alike.
  void warn_of_collapse(const Json& line) {
    const auto collapsed = [&line](const char* answers, const char* targets, double share) {
      const Json::json_pointer answer(answers), target(targets);
      return line.contains(answer) && line[answer].is_number() && line[target].is_number() &&
             line[answer].get<double>() < share * line[target].get<double>();
    };
    if (warned_of_collapse_) return;
    if (!collapsed("/prediction_perplexity", "/target_perplexity", least_perplexity) &&
        !collapsed("/spread/prediction", "/spread/target", least_spread))
      return;
    warned_of_collapse_ = true;
    log_warning("distill",
                "the student answers nearly the same for every frame (see log.jsonl); it may have collapsed: "
                "lower optimizer.lr or lengthen schedule.warmup_steps");
  }

  void validate(int64_t step) {
    const auto begun = Clock::now();
    const Json report = validation_report(job_, *objective_, *validation_, student_, device_);
    student_->train();
    const double loss = report["loss"].is_number() ? report["loss"].get<double>() : INFINITY;
    log_info("distill", "update {}: validation loss {:.4g}", step, loss);
    if (!best_validation_ || loss < *best_validation_) {
      best_validation_ = loss;
      write_model(run_.best(), source_of(weights(step)));
    }
    run_.log({{"step", step}, {"validation", report}});
    interval_.begun += Clock::now() - begun;
  }

  ModelWeights weights(int64_t step) const {
    ModelWeights weights = student_->weights();
    weights.provenance = job_.provenance;
    weights.provenance["steps"] = step;
    return weights;
  }

  void save(int64_t step) {
    optimizer_->save(run_.checkpoint(step));
    run_.keep_newest_checkpoints(recipe_.keep_checkpoints);
  }

  void finish() {
    const ModelWeights student = weights(recipe_.schedule.steps);
    const std::string hash = write_model(run_.student(), source_of(student));
    log_info("distill", "student written to {}: {} parameters, hash {}", run_.student().string(),
             count_parameters(student.config).backbone, hash);
  }

  const TrainingJob& job_;
  const Recipe& recipe_;
  TrainingSet& training_;
  TrainingSet* validation_;
  const RunFolder& run_;
  at::Device device_;
  BatchPlan plan_;
  HubertModel student_;
  std::unique_ptr<TrainingObjective> objective_;
  std::unique_ptr<AdamW> optimizer_;
  Interval interval_;
  std::optional<double> best_validation_;
  bool warned_of_collapse_ = false;
};

}  // namespace

void train(const TrainingJob& job, TrainingSet& training, TrainingSet* validation, const RunFolder& run) {
  at::set_num_threads(job.threads > 0 ? job.threads : available_threads());
  Trainer(job, training, validation, run).run();
}

Json validate(const TrainingJob& job, TrainingSet& set) {
  at::set_num_threads(job.threads > 0 ? job.threads : available_threads());
  const at::Device device = parse_device(job.device);
  HubertModel student(*job.start);
  student->to(device);
  const auto objective = objective_of(job, device);
  return validation_report(job, *objective, set, student, device);
}

}  // namespace retort
