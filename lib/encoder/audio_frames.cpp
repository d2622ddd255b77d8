#include "encoder/audio_frames.h"

#include <algorithm>
#include <numeric>
#include <optional>

#include "base/progress.h"
#include "base/signals.h"
#include "base/threads.h"

namespace retort {
namespace {

constexpr std::size_t utterances_ahead = 64;
// Batches that are sorted by length together, so that little of each is padding.
constexpr double batches_per_window = 8;

// One utterance's audio, or why there is none.
struct Loaded {
  std::vector<float> samples;
  std::optional<AudioError> problem;
};

Loaded load(const Utterance& utterance) {
  try {
    return {load_utterance(utterance), std::nullopt};
  } catch (const AudioError& error) {
    return {{}, error};
  }
}

// Cuts the window, sorted by length, into batches whose padded size is within the seconds allowed.
std::vector<std::vector<std::size_t>> batches_by_length(const std::vector<Loaded>& window,
                                                        double batch_samples) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < window.size(); ++i)
    if (!window[i].problem) order.push_back(i);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return window[a].samples.size() < window[b].samples.size();
  });
  std::vector<std::vector<std::size_t>> batches;
  for (const std::size_t item : order) {
    const auto padded = static_cast<double>(window[item].samples.size());
    if (batches.empty() || padded * static_cast<double>(batches.back().size() + 1) > batch_samples)
      batches.emplace_back();
    batches.back().push_back(item);
  }
  return batches;
}

}  // namespace

void for_each_encoded(const Corpus& corpus, Range range, FrameEncoder& encoder, int threads,
                      const std::string& job, BadItems& bad,
                      const std::function<void(EncodedUtterance)>& take) {
  const std::vector<Utterance>& utterances = corpus.utterances();
  double seconds = 0;
  for (std::size_t i = range.begin; i < range.end; ++i)
    seconds += static_cast<double>(utterances[i].model_samples()) / model_rate;
  Progress progress(job, "s audio", seconds);
  Prefetcher<Loaded> audio(range.size(), threads > 0 ? threads : available_threads(), utterances_ahead,
                           [&](std::size_t i) { return load(utterances[range.begin + i]); });
  const double batch_samples = encoder.batch_seconds() * model_rate;

  for (std::size_t next = range.begin; next < range.end;) {
    const std::size_t first = next;
    std::vector<Loaded> window;
    for (double samples = 0; next < range.end && samples < batches_per_window * batch_samples; ++next) {
      window.push_back(audio.next());
      samples += static_cast<double>(window.back().samples.size());
    }
    std::vector<std::vector<Matrix>> encoded(window.size());
    for (const std::vector<std::size_t>& batch : batches_by_length(window, batch_samples)) {
      throw_if_stopped();
      std::vector<std::vector<float>> waveforms;
      for (const std::size_t item : batch) waveforms.push_back(window[item].samples);
      std::vector<std::vector<Matrix>> outputs = encoder.encode(waveforms);
      for (std::size_t i = 0; i < batch.size(); ++i) {
        encoded[batch[i]] = std::move(outputs[i]);
        progress.advance(static_cast<double>(waveforms[i].size()) / model_rate);
      }
    }
    for (std::size_t i = 0; i < window.size(); ++i) {
      const Utterance& utterance = utterances[first + i];
      if (window[i].problem)
        bad.add(utterance.id, window[i].problem->reason(), window[i].problem->what());
      else
        take({&utterance, static_cast<int64_t>(window[i].samples.size()), std::move(encoded[i])});
    }
  }
}

}  // namespace retort
