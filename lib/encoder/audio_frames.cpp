#include "encoder/audio_frames.h"

#include <algorithm>
#include <numeric>
#include <optional>

#include "base/log.h"
#include "base/progress.h"
#include "base/signals.h"
#include "base/stopwatch.h"
#include "base/threads.h"

namespace retort {
namespace {

// Decoded while others are encoded: at most so many utterances and, where they are long, so much audio.
constexpr std::size_t utterances_ahead = 64;
constexpr double seconds_ahead = 3600;

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

std::size_t decoded_ahead(const std::vector<Utterance>& utterances, Range range) {
  double longest = 1;
  for (std::size_t i = range.begin; i < range.end; ++i)
    longest = std::max(longest, static_cast<double>(utterances[i].model_samples()) / model_rate);
  return std::clamp(static_cast<std::size_t>(seconds_ahead / longest), std::size_t{1}, utterances_ahead);
}

// Cuts the window, in its order, into batches of `count`.
std::vector<std::vector<std::size_t>> batches_in_order(const std::vector<Loaded>& window, std::size_t count) {
  std::vector<std::vector<std::size_t>> batches;
  for (std::size_t i = 0; i < window.size(); ++i) {
    if (window[i].problem) continue;
    if (batches.empty() || batches.back().size() == count) batches.emplace_back();
    batches.back().push_back(i);
  }
  return batches;
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

// Where the time goes: decoding is on other threads, so that only waiting for it counts.
struct TimeSpent {
  double waiting = 0, encoding = 0, writing = 0;

  // One line, which names the slowest.
  void log(const std::string& job) const {
    const double all = waiting + encoding + writing;
    if (all < least_seconds) return;
    const char* slowest = encoding >= std::max(waiting, writing) ? "encoding"
                          : waiting >= writing                   ? "decoding audio"
                                                                 : "writing";
    log_info(job,
             "{:.1f} s: {:.0f} % encoding, {:.0f} % waiting for decoded audio, {:.0f} % writing; {} is what "
             "limits it",
             all, 100 * encoding / all, 100 * waiting / all, 100 * writing / all, slowest);
  }

  static constexpr double least_seconds = 1;  // shares of less mean little
};

// Utterances from everywhere in the corpus, of so many seconds together.
Corpus sample_of(const Corpus& corpus, double seconds) {
  const double share = std::min(1.0, seconds / std::max(corpus.seconds(), seconds));
  const auto count =
      std::max<std::size_t>(1, static_cast<std::size_t>(share * static_cast<double>(corpus.size())));
  std::vector<Utterance> some;
  for (std::size_t i = 0; i < std::min(count, corpus.size()); ++i)
    some.push_back(corpus.utterances()[i * corpus.size() / count]);
  return Corpus(std::move(some));
}

}  // namespace

double estimate_encoding_seconds(const Corpus& corpus, FrameEncoder& encoder, int threads) {
  const auto seconds_for = [&](const Corpus& some) {
    BadItems bad("estimate", 1);
    Stopwatch watch;
    for_each_encoded(some, {0, some.size()}, encoder, threads, "estimate", bad,
                     [](const EncodedUtterance&) {});
    return watch.lap();
  };
  seconds_for(sample_of(corpus, 0));  // memory and caches
  const Corpus sample = sample_of(corpus, 20);
  return seconds_for(sample) * corpus.seconds() / std::max(sample.seconds(), 1e-9);
}

void for_each_encoded(const Corpus& corpus, Range range, FrameEncoder& encoder, int threads,
                      const std::string& job, BadItems& bad,
                      const std::function<void(EncodedUtterance)>& take) {
  const std::vector<Utterance>& utterances = corpus.utterances();
  double seconds = 0;
  for (std::size_t i = range.begin; i < range.end; ++i)
    seconds += static_cast<double>(utterances[i].model_samples()) / model_rate;
  Progress progress(job, "s audio", seconds);
  Prefetcher<Loaded> audio(range.size(), threads > 0 ? threads : available_threads(),
                           decoded_ahead(utterances, range),
                           [&](std::size_t i) { return load(utterances[range.begin + i]); });
  const BatchRule rule = encoder.batches();
  const double batch_samples = rule.seconds * model_rate;
  const auto batch_utterances = static_cast<std::size_t>(rule.utterances);

  TimeSpent spent;
  Stopwatch watch;
  for (std::size_t next = range.begin; next < range.end;) {
    const std::size_t first = next;
    std::vector<Loaded> window;
    const auto is_full = [&](double samples) {
      return batch_utterances > 0 ? window.size() == batch_utterances
                                  : samples >= rule.together * batch_samples;
    };
    for (double samples = 0; next < range.end && !is_full(samples); ++next) {
      window.push_back(audio.next());
      samples += static_cast<double>(window.back().samples.size());
    }
    spent.waiting += watch.lap();
    std::vector<std::vector<Matrix>> encoded(window.size());
    const auto batches = batch_utterances > 0 ? batches_in_order(window, batch_utterances)
                                              : batches_by_length(window, batch_samples);
    for (const std::vector<std::size_t>& batch : batches) {
      throw_if_stopped();
      std::vector<std::vector<float>> waveforms;
      for (const std::size_t item : batch) waveforms.push_back(window[item].samples);
      std::vector<std::vector<Matrix>> outputs = encoder.encode(waveforms);
      for (std::size_t i = 0; i < batch.size(); ++i) {
        encoded[batch[i]] = std::move(outputs[i]);
        progress.advance(static_cast<double>(waveforms[i].size()) / model_rate);
      }
    }
    spent.encoding += watch.lap();
    for (std::size_t i = 0; i < window.size(); ++i) {
      const Utterance& utterance = utterances[first + i];
      if (window[i].problem)
        bad.add(utterance.id, window[i].problem->reason(), window[i].problem->what());
      else
        take({&utterance, static_cast<int64_t>(window[i].samples.size()), std::move(encoded[i])});
    }
    spent.writing += watch.lap();
  }
  spent.log(job);
}

}  // namespace retort
