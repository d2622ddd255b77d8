// Waveforms to hold an exported model against its origin with.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace retort {

struct CheckAudio {
  // At 16 kHz, from the shortest that can be encoded to a minute, as far as there is audio.
  std::vector<std::vector<float>> utterances;
  bool real = false;  // of files that somebody named; else made up

  double seconds() const;
  // Those that are no longer than this, or the shortest one.
  std::vector<std::vector<float>> up_to(double longest_seconds) const;
};

// Cut out of a corpus or audio files; without any, of a sound made up for it, the same on every machine. An
// Error for audio that is silent or too short.
CheckAudio check_audio(const std::vector<std::string>& inputs, int64_t least_samples);

}  // namespace retort
