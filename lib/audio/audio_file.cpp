#include "audio/audio_file.h"

#include <sndfile.h>

#include <algorithm>
#include <cmath>
#include <mutex>
#include <shared_mutex>

#include "audio/chunks.h"
#include "audio/piped_audio.h"

namespace retort {
namespace {

constexpr int64_t block_samples = 1 << 16;  // per channel: a quarter of a megabyte for mono

template <class... Args>
[[noreturn]] void refuse(const char* reason, fmt::format_string<Args...> format, Args&&... args) {
  throw AudioError(reason, fmt::format(format, std::forward<Args>(args)...));
}

// A file in memory, as libsndfile asks for its bytes.
struct MemoryFile {
  std::shared_ptr<const std::string> bytes;
  sf_count_t position = 0;

  sf_count_t size() const { return static_cast<sf_count_t>(bytes->size()); }
};

MemoryFile& memory_file(void* user) {
  return *static_cast<MemoryFile*>(user);
}

sf_count_t memory_size(void* user) {
  return memory_file(user).size();
}

sf_count_t memory_seek(sf_count_t offset, int whence, void* user) {
  MemoryFile& file = memory_file(user);
  const sf_count_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? file.position : file.size();
  file.position = std::clamp<sf_count_t>(base + offset, 0, file.size());
  return file.position;
}

sf_count_t memory_read(void* out, sf_count_t count, void* user) {
  MemoryFile& file = memory_file(user);
  const sf_count_t got = std::min(count, file.size() - file.position);
  std::copy_n(file.bytes->data() + file.position, got, static_cast<char*>(out));
  file.position += got;
  return got;
}

sf_count_t memory_tell(void* user) {
  return memory_file(user).position;
}

std::shared_mutex opening_files;

}  // namespace

struct AudioFile::Handle {
  MemoryFile memory;  // of what comes through a pipe
  SNDFILE* file = nullptr;
  SF_INFO info{};
  int64_t position = 0;

  void open_file(const std::filesystem::path& path) { file = sf_open(path.c_str(), SFM_READ, &info); }
  void open_memory() {
    memory.position = 0;
    SF_VIRTUAL_IO calls{memory_size, memory_seek, memory_read, nullptr, memory_tell};
    file = sf_open_virtual(&calls, SFM_READ, &info, &memory);
  }
  int container() const { return info.format & SF_FORMAT_TYPEMASK; }
};

AudioFile::AudioFile(const std::filesystem::path& path) : path_(path), handle_(std::make_unique<Handle>()) {
  const bool piped = is_audio_command(path) || is_standard_input(path);
  if (piped)
    open_pipe();
  else
    open_file();
  // libsndfile takes a headerless file for raw telephone audio if its name ends in .au or .snd.
  const bool guessed = handle_->file != nullptr && handle_->container() == SF_FORMAT_RAW;
  if (handle_->file == nullptr || guessed || rate() < 1 || channels() < 1) {
    const std::string why = handle_->file == nullptr ? why_not_opened() : "no header of a known format";
    sf_close(handle_->file);
    refuse("not-audio", "{}: not an audio file that can be read ({})", path.string(), why);
  }
  const int64_t missing = piped ? missing_sound_bytes_in(*handle_->memory.bytes) : missing_sound_bytes(path);
  if (missing > 0) {
    sf_close(handle_->file);
    refuse("truncated", "{}: cut short, {} bytes of its sound are missing", path.string(), missing);
  }
}

void AudioFile::open_file() {
  std::error_code error;
  if (!std::filesystem::exists(path_, error)) refuse("missing", "{}: no such file", path_.string());
  if (std::filesystem::is_directory(path_, error))
    refuse("not-audio", "{}: a folder, not an audio file", path_.string());
  if (std::filesystem::is_empty(path_, error)) refuse("empty", "{}: the file is empty", path_.string());
  const std::shared_lock opening(opening_files);
  handle_->open_file(path_);
}

void AudioFile::open_pipe() {
  handle_->memory.bytes = piped_audio(path_);
  if (handle_->memory.bytes->empty()) refuse("empty", "{}: holds nothing", path_.string());
  const std::shared_lock opening(opening_files);
  handle_->open_memory();
}

// libsndfile keeps the reason in a variable that all threads write to, so it is asked while nobody else opens
// a file.
std::string AudioFile::why_not_opened() {
  const std::unique_lock alone(opening_files);
  if (handle_->memory.bytes)
    handle_->open_memory();
  else
    handle_->open_file(path_);
  return sf_strerror(nullptr);
}

AudioFile::~AudioFile() {
  sf_close(handle_->file);
}

int AudioFile::rate() const {
  return handle_->info.samplerate;
}

int AudioFile::channels() const {
  return handle_->info.channels;
}

bool AudioFile::length_known() const {
  const SF_INFO& info = handle_->info;
  return info.frames > 0 && info.frames < SF_COUNT_MAX && handle_->container() != SF_FORMAT_MPEG;
}

int64_t AudioFile::stated_samples() const {
  return length_known() ? handle_->info.frames : -1;
}

int64_t AudioFile::read(int64_t start, int64_t samples,
                        const std::function<void(std::span<const float>)>& take) {
  seek(start);
  std::vector<float> block(static_cast<std::size_t>(block_samples * channels()));
  int64_t done = 0;
  while (samples < 0 || done < samples) {
    const int64_t wanted = samples < 0 ? block_samples : std::min(block_samples, samples - done);
    const int64_t got = sf_readf_float(handle_->file, block.data(), wanted);
    if (got <= 0) break;
    const std::span<const float> part(block.data(), static_cast<std::size_t>(got * channels()));
    refuse_not_finite(part, start + done);
    take(part);
    done += got;
  }
  handle_->position = start + done;
  return done;
}

void AudioFile::seek(int64_t start) {
  if (start == handle_->position) return;
  if (sf_seek(handle_->file, start, SEEK_SET) != start) {
    refuse("bad-segment", "{}: there is no sample {} in it", path_.string(), start);
  }
  handle_->position = start;
}

void AudioFile::refuse_not_finite(std::span<const float> block, int64_t first) const {
  const auto found =
      std::find_if(block.begin(), block.end(), [](float value) { return !std::isfinite(value); });
  if (found == block.end()) return;
  refuse("not-finite", "{}: sample {} is not a finite number", path_.string(),
         first + (found - block.begin()) / channels());
}

}  // namespace retort
