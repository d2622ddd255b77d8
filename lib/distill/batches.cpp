#include "distill/batches.h"

#include <algorithm>
#include <numeric>

#include "audio/waveform.h"
#include "base/error.h"
#include "base/random.h"

namespace retort {
namespace {

enum SeedPurpose : uint64_t { tie_order = 1, batch_order = 2, crop_start = 3 };

// Appends a crop to the last micro batch, or to a new one where it would be too much for that.
void append(Batch& batch, const Crop& crop, const BatchOptions& options) {
  if (!batch.empty()) {
    const MicroBatch& last = batch.back();
    const int64_t samples =
        std::max(last.samples, crop.samples) * static_cast<int64_t>(last.crops.size() + 1);
    if (static_cast<double>(samples) <= options.micro_seconds * model_rate) {
      batch.back().add(crop);
      return;
    }
  }
  batch.emplace_back();
  batch.back().add(crop);
}

}  // namespace

void MicroBatch::add(const Crop& crop) {
  samples = std::max(samples, crop.samples);
  crops.push_back(crop);
}

BatchPlan::BatchPlan(std::vector<int64_t> samples, const BatchOptions& options, int64_t hop, uint64_t seed)
    : samples_(std::move(samples)),
      options_(options),
      hop_(hop),
      seed_(seed),
      longest_(static_cast<int64_t>(options.max_seconds * model_rate)) {
  if (samples_.empty()) fail("no utterance is left to train on; lower batch.min_seconds or give more audio");
  divide_into_batches();
}

void BatchPlan::divide_into_batches() {
  std::vector<int64_t> lengths;
  for (std::size_t i = 0; i < samples_.size(); ++i) lengths.push_back(used_samples(i));
  std::sort(lengths.begin(), lengths.end(), std::greater<>());
  const double most = options_.seconds * model_rate;
  for (std::size_t begin = 0; begin < lengths.size();) {
    std::size_t end = begin + 1;
    int64_t sum = lengths[begin];
    for (; end < lengths.size(); ++end) {
      sum += lengths[end];
      // Cropping brings everything to the shortest, which is the one added last.
      const int64_t used = options_.pad ? sum : static_cast<int64_t>(end + 1 - begin) * lengths[end];
      if (static_cast<double>(used) > most) break;
    }
    sizes_.push_back(end - begin);
    begins_.push_back(begin);
    begin = end;
  }
}

std::shared_ptr<const BatchPlan::Epoch> BatchPlan::epoch(int64_t number) const {
  std::lock_guard lock(latest_mutex_);
  if (latest_ && latest_->number == number) return latest_;
  auto made = std::make_shared<Epoch>();
  made->number = number;
  made->utterances.resize(samples_.size());
  std::iota(made->utterances.begin(), made->utterances.end(), 0);
  Random(mix_seed({seed_, tie_order, static_cast<uint64_t>(number)})).shuffle(made->utterances);
  std::stable_sort(made->utterances.begin(), made->utterances.end(),
                   [this](std::size_t a, std::size_t b) { return used_samples(a) > used_samples(b); });
  made->batches.resize(sizes_.size());
  std::iota(made->batches.begin(), made->batches.end(), 0);
  Random(mix_seed({seed_, batch_order, static_cast<uint64_t>(number)})).shuffle(made->batches);
  latest_ = made;
  return made;
}

Batch BatchPlan::batch(int64_t step) const {
  const auto plan = epoch(step / batches_per_epoch());
  const std::size_t chosen = plan->batches[static_cast<std::size_t>(step % batches_per_epoch())];
  const std::size_t begin = begins_[chosen];
  const std::size_t end = begin + sizes_[chosen];
  const int64_t shortest = used_samples(plan->utterances[end - 1]);

  Random random(mix_seed({seed_, crop_start, static_cast<uint64_t>(step)}));
  Batch batch;
  for (std::size_t i = begin; i < end; ++i) {
    const std::size_t utterance = plan->utterances[i];
    const int64_t samples = options_.pad ? used_samples(utterance) : shortest;
    const int64_t room = (samples_[utterance] - samples) / hop_;
    const auto first = static_cast<int64_t>(random.below(static_cast<uint64_t>(room) + 1));
    append(batch, {utterance, first, samples}, options_);
  }
  return batch;
}

BatchOptions divide_among(BatchOptions options, int processes) {
  options.micro_seconds = std::min(options.micro_seconds, options.seconds / processes);
  return options;
}

Batch validation_batches(const std::vector<int64_t>& samples, const BatchOptions& options) {
  std::vector<std::size_t> order(samples.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return samples[a] > samples[b]; });
  const auto longest = static_cast<int64_t>(options.max_seconds * model_rate);
  Batch batch;
  for (const std::size_t utterance : order)
    append(batch, {utterance, 0, std::min(samples[utterance], longest)}, options);
  return batch;
}

}  // namespace retort
