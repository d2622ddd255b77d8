// Audio files to mono 16 kHz samples.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "audio/resample.h"
#include "base/error.h"

namespace retort {

inline constexpr int64_t shortest_audio = 400;  // samples at 16 kHz below which there is no frame

// What a file says of itself.
struct AudioInfo {
  int64_t samples = 0;  // per channel
  int rate = 0;
  int channels = 0;
};

// A piece of a file (or of what comes through a pipe, see audio/piped_audio.h), in the file's own samples.
// channel -1 is the mean of all channels.
struct AudioSegment {
  std::filesystem::path path;
  int64_t start = 0;
  int64_t samples = -1;  // -1: to the end
  int channel = -1;
  int rate = 0;  // what the file's rate must be; 0: any
};

// What an unusable piece of audio is called in corpus.rejected.jsonl and in counts: "missing", "not-audio",
// "truncated", "empty", "too-short", "not-finite", "no-such-channel", "bad-segment", "wrong-rate",
// "command-failed".
class AudioError : public Error {
 public:
  AudioError(std::string reason, const std::string& message) : Error(message), reason_(std::move(reason)) {}
  const std::string& reason() const { return reason_; }

 private:
  std::string reason_;
};

// From the header, which is quick; a file whose header does not state its length (MP3, streams) is decoded to
// count it. Throws AudioError ("missing", "not-audio", "truncated").
AudioInfo read_audio_info(const std::filesystem::path& path);

// The same after decoding the whole file: also refuses ("truncated", "empty", "not-finite") what
// decode_segment would. Memory does not grow with the file.
AudioInfo check_audio(const std::filesystem::path& path);

// Samples at the file's rate in [-1, 1], downmixed as the segment says. Throws AudioError for a file that is
// missing, not audio, shorter than it says, empty, or that holds NaN or infinite samples.
std::vector<float> decode_segment(const AudioSegment& segment);

// decode_segment, then resample to 16 kHz; also refuses (too-short) what has fewer than 400 samples then.
std::vector<float> load_waveform(const AudioSegment& segment);

}  // namespace retort
