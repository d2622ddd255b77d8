#include "distill/batches.h"

#include <algorithm>
#include <numeric>

#include "audio/waveform.h"
#include "base/error.h"
#include "base/random.h"

namespace retort {
namespace {

enum SeedPurpose : uint64_t { tie_order = 1, batch_order = 2, crop_start = 3 };

}  // namespace

BatchPlan::BatchPlan(std::vector<int64_t> samples, const BatchOptions& options, int64_t hop, uint64_t seed)
    : samples_(std::move(samples)),
      options_(options),
      hop_(hop),
      seed_(seed),
      longest_(static_cast<int64_t>(options.max_seconds * model_rate)) {
  if (samples_.empty()) fail("no utterance is left to train on; lower batch.min_seconds or give more audio");
  std::vector<int64_t> lengths;
  for (const int64_t length : samples_) lengths.push_back(std::min(length, longest_));
  std::sort(lengths.begin(), lengths.end(), std::greater<>());
  // Everything in a batch is cropped to its shortest, which is the one added last.
  const double most = options.seconds * model_rate;
  for (std::size_t begin = 0; begin < lengths.size();) {
    std::size_t end = begin + 1;
    while (end < lengths.size() &&
           static_cast<double>(end + 1 - begin) * static_cast<double>(lengths[end]) <= most)
      ++end;
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
  std::stable_sort(made->utterances.begin(), made->utterances.end(), [this](std::size_t a, std::size_t b) {
    return std::min(samples_[a], longest_) > std::min(samples_[b], longest_);
  });
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
  const int64_t length = std::min(samples_[plan->utterances[end - 1]], longest_);
  const auto at_once = static_cast<std::size_t>(
      std::max(1.0, options_.micro_seconds * model_rate / static_cast<double>(length)));

  Random random(mix_seed({seed_, crop_start, static_cast<uint64_t>(step)}));
  Batch batch;
  for (std::size_t i = begin; i < end; ++i) {
    if (batch.empty() || batch.back().crops.size() == at_once) batch.push_back({length, {}});
    const int64_t room = (samples_[plan->utterances[i]] - length) / hop_;
    const auto first = static_cast<int64_t>(random.below(static_cast<uint64_t>(room) + 1));
    batch.back().crops.push_back({plan->utterances[i], first});
  }
  return batch;
}

}  // namespace retort
