#include "export/check_audio.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"
#include "corpus/corpus.h"

namespace retort {
namespace {

constexpr double lengths_in_seconds[] = {0.03, 0.4, 2.5, 9, 60};
constexpr double least_rms = 1e-4;  // -80 dB of full scale; less is silence

int64_t samples_of(double seconds) {
  return static_cast<int64_t>(seconds * model_rate);
}

// A rising tone that comes and goes, like syllables, with a little noise.
std::vector<float> made_up_sound(int64_t samples) {
  std::vector<float> sound(static_cast<std::size_t>(samples));
  uint32_t noise = 1;
  for (std::size_t i = 0; i < sound.size(); ++i) {
    const double seconds = static_cast<double>(i) / model_rate;
    noise = noise * 1664525u + 1013904223u;
    const double hiss = static_cast<double>(noise >> 8) / (1 << 24) - 0.5;
    const double glide = std::fmod(seconds, 2.0);
    const double phase = 2 * std::numbers::pi * (100 + 400 * glide) * glide;
    const double syllable = 0.5 - 0.5 * std::cos(2 * std::numbers::pi * 4 * seconds);
    sound[i] = static_cast<float>(0.3 * syllable * std::sin(phase) + 0.02 * hiss);
  }
  return sound;
}

// One utterance after the other, until there is enough.
std::vector<float> read_audio(const std::vector<std::string>& inputs, int64_t enough) {
  std::vector<float> samples;
  const Corpus corpus = read_corpus_input(inputs);
  for (const Utterance& utterance : corpus.utterances()) {
    const std::vector<float> more = load_utterance(utterance);
    samples.insert(samples.end(), more.begin(), more.end());
    if (static_cast<int64_t>(samples.size()) >= enough) break;
  }
  double squares = 0;
  for (const float sample : samples) squares += static_cast<double>(sample) * static_cast<double>(sample);
  if (std::sqrt(squares / static_cast<double>(std::max(samples.size(), std::size_t{1}))) < least_rms)
    fail("--audio: {} is silent; name recordings of speech", inputs.front());
  return samples;
}

}  // namespace

double CheckAudio::seconds() const {
  double samples = 0;
  for (const std::vector<float>& utterance : utterances) samples += static_cast<double>(utterance.size());
  return samples / model_rate;
}

std::vector<std::vector<float>> CheckAudio::up_to(double longest_seconds) const {
  std::vector<std::vector<float>> some;
  for (const std::vector<float>& utterance : utterances)
    if (some.empty() || static_cast<int64_t>(utterance.size()) <= samples_of(longest_seconds))
      some.push_back(utterance);
  return some;
}

CheckAudio check_audio(const std::vector<std::string>& inputs, int64_t least_samples) {
  std::vector<int64_t> lengths = {std::max(samples_of(lengths_in_seconds[0]), least_samples)};
  for (const double seconds : lengths_in_seconds)
    if (samples_of(seconds) > lengths.back()) lengths.push_back(samples_of(seconds));
  int64_t wanted = 0;
  for (const int64_t length : lengths) wanted += length;
  const std::vector<float> samples = inputs.empty() ? made_up_sound(wanted) : read_audio(inputs, wanted);
  CheckAudio audio;
  audio.real = !inputs.empty();
  auto next = samples.begin();
  for (const int64_t length : lengths) {
    // The longest takes what there is.
    const auto count = std::min(length, static_cast<int64_t>(samples.end() - next));
    if (count < lengths.front()) break;
    audio.utterances.emplace_back(next, next + count);
    next += count;
  }
  if (audio.utterances.empty())
    fail("--audio: {} lasts {:.2g} s, too short for a frame", inputs.front(),
         static_cast<double>(samples.size()) / model_rate);
  return audio;
}

}  // namespace retort
