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
#include "nn/torch_memory.h"
#include "nn/torch_precision.h"

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
  if (job.teacher && !job.recipe.needs_labels() && !job.features_stored)
    teacher.model = HubertModel(*job.teacher);
  teacher.codebook = job.codebook;
  return make_objective(job.recipe, job.recipe.student, std::move(teacher), device);
}

// The micro batches that fall to this process: every count-th.
std::vector<std::size_t> own_share(std::size_t micro_batches, const Processes& processes) {
  std::vector<std::size_t> own;
  for (auto i = static_cast<std::size_t>(processes.rank()); i < micro_batches;
       i += static_cast<std::size_t>(processes.count()))
    own.push_back(i);
  return own;
}

// Both teacher and student run in the recipe's precision.
BatchLoss loss_of(const Recipe& recipe, const TrainingObjective& objective, TrainingExamples& examples,
                  HubertModel& student, const at::Device& device, Metrics& metrics) {
  const Autocast scope(device, recipe.precision == Precision::bf16);
  BatchLoss loss = objective.loss(TrainingBatch(examples, device), student, metrics);
  metrics.add("loss", loss.sum, loss.frames);
  return loss;
}

// The losses of a student on a whole set, as validation reports them. The processes share the work.
// `between` is called before each micro batch.
Json validation_report(const TrainingJob& job, const TrainingObjective& objective, TrainingSet& set,
                       HubertModel& student, const at::Device& device, const Processes& processes,
                       const std::function<void()>& between) {
  const at::NoGradGuard no_grad;
  student->eval();
  const Batch batches = validation_batches(set.samples(), job.recipe.batch);
  const std::vector<std::size_t> own = own_share(batches.size(), processes);
  Prefetcher<TrainingExamples> examples(own.size(), 1, 2, [&](std::size_t i) {
    return set.examples(batches[own[i]], Random(mix_seed({job.seed, validation_masks, own[i]})));
  });
  Metrics metrics;
  std::vector<double> seconds(1);
  while (!examples.done()) {
    between();
    TrainingExamples next = examples.next();
    loss_of(job.recipe, objective, next, student, device, metrics);
    seconds.front() += next.seconds();
  }
  metrics = metrics.of_all(processes);
  processes.sum(seconds);
  Json report = {{"loss", report_number(metrics.mean("loss"))}};
  report.update(metrics.report());
  report["utterances"] = set.samples().size();
  report["audio_seconds"] = report_number(seconds.front());
  return report;
}

// What is gathered between two lines of log.jsonl.
struct Interval {
  Metrics metrics;
  double audio_seconds = 0;
  double padded_seconds = 0;
  double wait_seconds = 0;
  Clock::time_point begun = Clock::now();

  // Of all processes; they wait for data at the same time.
  Interval of_all(const Processes& processes) const {
    Interval all = *this;
    all.metrics = metrics.of_all(processes);
    std::vector<double> seconds{audio_seconds, padded_seconds, wait_seconds};
    processes.sum(seconds);
    all.audio_seconds = seconds[0];
    all.padded_seconds = seconds[1];
    all.wait_seconds = seconds[2] / processes.count();
    return all;
  }
};

// A micro batch, with its number among those that all processes have of an update.
struct MicroExamples {
  std::size_t number = 0;
  TrainingExamples examples;
};

class Trainer {
 public:
  Trainer(const TrainingJob& job, TrainingSet& training, TrainingSet* validation, const RunFolder& run,
          const Processes& processes)
      : job_(job),
        recipe_(job.recipe),
        training_(training),
        validation_(validation),
        run_(run),
        processes_(processes),
        device_(parse_device(job.device, processes.local_rank())),
        plan_(training.samples(), divide_among(recipe_.batch, processes.count()), recipe_.student.stride(),
              job.seed),
        student_(initial_student(job)),
        objective_(objective_of(job, device_)) {
    student_->to(device_);
    optimizer_ = std::make_unique<AdamW>(*student_, recipe_.optimizer);
  }

  void run() {
    int64_t step = resume();
    const int64_t last = recipe_.schedule.steps;
    const auto ahead = std::clamp(seconds_ahead / recipe_.batch.seconds, 1.0, most_batches_ahead);
    Prefetcher<std::vector<MicroExamples>> batches(
        static_cast<std::size_t>(last - step), 1, static_cast<std::size_t>(ahead),
        [this, step](std::size_t i) { return make_batch(step + static_cast<int64_t>(i)); });
    std::optional<Progress> progress;
    if (processes_.leads()) progress.emplace("distill", "updates", static_cast<double>(last - step));
    student_->train();
    for (interval_ = Interval(); step < last;) {
      update(step, batches);
      ++step;
      if (progress) progress->advance(1);
      if (step % recipe_.report_every == 0 || step == last) report(step);
      if (validation_ != nullptr && (step % recipe_.validate_every == 0 || step == last)) validate(step);
      if (step % recipe_.checkpoint_every == 0 && step < last) save(step);
      if (stop_ != 0 && step < last) stop(step);
    }
    if (processes_.leads()) finish();
  }

 private:
  // The update to go on from.
  int64_t resume() {
    const auto step =
        static_cast<int64_t>(processes_.of_leader(static_cast<double>(run_.newest_checkpoint().value_or(0))));
    if (step > 0) optimizer_->load(run_.checkpoint(step), step);
    if (!processes_.leads()) return step;
    if (step > 0) log_info("distill", "going on from update {} of {}", step, recipe_.schedule.steps);
    run_.cut_log_after(step);
    best_validation_ = run_.best_validation();
    return step;
  }

  // What this process has of an update: possibly nothing.
  std::vector<MicroExamples> make_batch(int64_t step) {
    const Batch batch = plan_.batch(step);
    std::vector<MicroExamples> made;
    for (const std::size_t i : own_share(batch.size(), processes_)) {
      const Random masks(mix_seed({job_.seed, mask_spans, static_cast<uint64_t>(step), i}));
      made.push_back({i, training_.examples(batch[i], masks)});
    }
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

  void update(int64_t step, Prefetcher<std::vector<MicroExamples>>& batches) {
    const auto asked = Clock::now();
    std::vector<MicroExamples> batch = batches.next();
    interval_.wait_seconds += seconds_since(asked);

    optimizer_->zero_gradients();
    std::vector<BatchLoss> losses;
    for (MicroExamples& micro : batch) {
      // Dropout follows from the place of the micro batch alone, so a resumed run draws what an unbroken one
      // draws, and several processes what one draws.
      torch::manual_seed(mix_seed({job_.seed, dropout, static_cast<uint64_t>(step), micro.number}));
      losses.push_back(accumulate(micro.examples));
    }
    // All gradients, also those that nothing has reached: what a process skips differs between processes.
    processes_.sum(optimizer_->gradients());
    const double frames = frames_of_update(losses);
    const double norm = optimizer_->step(learning_rate(step), frames);
    if (!std::isfinite(norm)) refuse_update(step, batch, losses);
    interval_.metrics.add("gradient_norm", norm, 1);
  }

  // Of all processes. The signals that they got come along, so that all stop after the same update.
  double frames_of_update(const std::vector<BatchLoss>& losses) {
    std::vector<double> values(1 + static_cast<std::size_t>(processes_.count()));
    for (const BatchLoss& loss : losses) values.front() += loss.frames;
    values[1 + static_cast<std::size_t>(processes_.rank())] = stop_signal();
    processes_.sum(values);
    stop_ = static_cast<int>(*std::max_element(values.begin() + 1, values.end()));
    return values.front();
  }

  // Adds one micro batch's gradient of the summed loss.
  BatchLoss accumulate(TrainingExamples& examples) {
    const BatchLoss loss = loss_of(recipe_, *objective_, examples, student_, device_, interval_.metrics);
    loss.sum.backward();
    interval_.audio_seconds += examples.seconds();
    interval_.padded_seconds += static_cast<double>(examples.rows() * examples.samples) / model_rate;
    return {loss.sum.detach(), loss.frames};
  }

  [[noreturn]] void refuse_update(int64_t step, const std::vector<MicroExamples>& batch,
                                  const std::vector<BatchLoss>& losses) const {
    Json own = Json::array();
    for (std::size_t i = 0; i < batch.size(); ++i)
      own.push_back({{"loss", report_number(losses[i].sum.item<double>() / losses[i].frames)},
                     {"utterances", batch[i].examples.ids}});
    Json micro_batches = Json::array();
    for (const std::string& of_process : processes_.exchange(own.dump()))
      for (Json& micro : Json::parse(of_process)) micro_batches.push_back(std::move(micro));
    const std::filesystem::path file = run_.failure(step + 1);
    if (processes_.leads())
      write_json(file, {{"step", step + 1}, {"lr", learning_rate(step)}, {"micro_batches", micro_batches}});
    fail(
        "the loss or its gradient is not finite at update {} (its utterances: {}); lower optimizer.lr or "
        "leave "
        "them out, and run again (it goes on from update {})",
        step + 1, file.string(), run_.newest_checkpoint().value_or(0));
  }

  void report(int64_t step) {
    const Interval all = interval_.of_all(processes_);
    if (processes_.leads()) log_interval(step, all);
    interval_ = Interval();
  }

  void log_interval(int64_t step, const Interval& interval) {
    const double wall = seconds_since(interval.begun);
    const Json terms = interval.metrics.report();
    Json line = {{"step", step},
                 {"epoch", step / plan_.batches_per_epoch()},
                 {"lr", report_number(learning_rate(step - 1))},
                 {"loss", terms["loss"]}};
    line.update(terms);
    line.update({{"pad_share", report_number(1 - interval.audio_seconds / interval.padded_seconds)},
                 {"audio_seconds", report_number(interval.audio_seconds)},
                 {"audio_per_second", report_number(interval.audio_seconds / wall)},
                 {"data_wait_share", report_number(interval.wait_seconds / wall)},
                 {"seconds", report_number(wall)}});
    run_.log(line);
    log_info("distill", "update {} of {}: {}, {:.4g} s of audio/s", step, recipe_.schedule.steps,
             headline(interval.metrics), interval.audio_seconds / wall);
    if (step > recipe_.schedule.warmup_steps) warn_of_collapse(line);
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
    // A signal has to wait until all processes look for one, after the next update.
    const Json report =
        validation_report(job_, *objective_, *validation_, student_, device_, processes_, [] {});
    student_->train();
    if (processes_.leads()) log_validation(step, report);
    interval_.begun += Clock::now() - begun;
  }

  void log_validation(int64_t step, const Json& report) {
    const double loss = report["loss"].is_number() ? report["loss"].get<double>() : INFINITY;
    log_info("distill", "update {}: validation loss {:.4g}", step, loss);
    if (!best_validation_ || loss < *best_validation_) {
      best_validation_ = loss;
      write_model(run_.best(), source_of(weights(step)));
    }
    run_.log({{"step", step}, {"validation", report}});
  }

  ModelWeights weights(int64_t step) const {
    ModelWeights weights = student_->weights();
    weights.provenance = job_.provenance;
    weights.provenance["steps"] = step;
    return weights;
  }

  void save(int64_t step) {
    if (!processes_.leads()) return;
    optimizer_->save(run_.checkpoint(step));
    run_.keep_newest_checkpoints(recipe_.keep_checkpoints);
  }

  // A launcher may end the others as soon as one process has left, so none leaves before the checkpoint is
  // there.
  [[noreturn]] void stop(int64_t step) {
    save(step);
    processes_.wait_for_all();
    throw Stopped(stop_);
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
  const Processes& processes_;
  at::Device device_;
  BatchPlan plan_;
  HubertModel student_;
  std::unique_ptr<TrainingObjective> objective_;
  std::unique_ptr<AdamW> optimizer_;
  Interval interval_;
  std::optional<double> best_validation_;
  bool warned_of_collapse_ = false;
  int stop_ = 0;  // the signal after which all processes stop
};

void set_threads(const TrainingJob& job, const Processes& processes) {
  const int share = default_threads(processes);
  at::set_num_threads(job.threads > 0 ? job.threads : share);
}

}  // namespace

void train(const TrainingJob& job, TrainingSet& training, TrainingSet* validation, const RunFolder& run,
           const Processes& processes) {
  set_threads(job, processes);
  keep_tensor_memory();
  Trainer(job, training, validation, run, processes).run();
}

Json validate(const TrainingJob& job, TrainingSet& set) {
  const Processes alone;
  set_threads(job, alone);
  keep_tensor_memory();
  const at::Device device = parse_device(job.device);
  HubertModel student(*job.start);
  student->to(device);
  const auto objective = objective_of(job, device);
  return validation_report(job, *objective, set, student, device, alone, throw_if_stopped);
}

}  // namespace retort
