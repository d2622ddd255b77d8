// One open audio file, read in blocks. Everything that touches libsndfile is here.
#pragma once

#include <functional>
#include <memory>
#include <span>

#include "audio/waveform.h"

namespace retort {

class AudioFile {
 public:
  // What comes through a pipe (audio/piped_audio.h) is held. Throws AudioError
  // ("missing", "not-audio", "truncated", "command-failed").
  explicit AudioFile(const std::filesystem::path& path);
  ~AudioFile();
  AudioFile(const AudioFile&) = delete;
  AudioFile& operator=(const AudioFile&) = delete;

  int rate() const;
  int channels() const;
  // Whether the header states the length. MP3 headers only guess it, and streams leave it out.
  bool length_known() const;
  int64_t stated_samples() const;

  // Reads up to `samples` samples per channel from `start` on (-1: to the end) and hands them over in
  // interleaved blocks. Returns how many there were. Throws AudioError ("not-finite") at the first NaN or
  // infinite value.
  int64_t read(int64_t start, int64_t samples, const std::function<void(std::span<const float>)>& take);

 private:
  void open_file();
  void open_pipe();
  std::string why_not_opened();
  void seek(int64_t start);
  void refuse_not_finite(std::span<const float> block, int64_t first) const;

  struct Handle;
  std::filesystem::path path_;
  std::unique_ptr<Handle> handle_;
};

}  // namespace retort
