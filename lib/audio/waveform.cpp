#include "audio/waveform.h"

#include <span>

#include "audio/audio_file.h"

namespace retort {
namespace {

template <class... Args>
[[noreturn]] void refuse(const char* reason, fmt::format_string<Args...> format, Args&&... args) {
  throw AudioError(reason, fmt::format(format, std::forward<Args>(args)...));
}

// Appends one channel of interleaved samples, or the mean of all for channel -1.
void append_mono(std::span<const float> interleaved, int channels, int channel, std::vector<float>& mono) {
  const auto stride = static_cast<std::size_t>(channels);
  if (channels == 1 || channel >= 0) {
    const std::size_t first = channels == 1 ? 0 : static_cast<std::size_t>(channel);
    for (std::size_t i = first; i < interleaved.size(); i += stride) mono.push_back(interleaved[i]);
    return;
  }
  for (std::size_t i = 0; i < interleaved.size(); i += stride) {
    double sum = 0;
    for (const float value : interleaved.subspan(i, stride)) sum += value;
    mono.push_back(static_cast<float>(sum / channels));
  }
}

void check_request(const AudioSegment& segment, const AudioFile& file) {
  const std::string name = segment.path.string();
  if (segment.channel >= file.channels())
    refuse("no-such-channel", "{}: channel {} was asked for, the file has {}", name, segment.channel,
           file.channels());
  if (segment.rate != 0 && segment.rate != file.rate())
    refuse("wrong-rate", "{}: {} Hz where {} Hz was expected; prepare the corpus again", name, file.rate(),
           segment.rate);
  if (segment.start < 0 || segment.samples < -1)
    refuse("bad-segment", "{}: sample {} + {} is no segment", name, segment.start, segment.samples);
  if (segment.samples == 0) refuse("empty", "{}: has no samples", name);
  if (!file.length_known()) return;
  if (segment.start >= file.stated_samples())
    refuse("bad-segment", "{}: begins at sample {}, the file has {}", name, segment.start,
           file.stated_samples());
  if (segment.samples > file.stated_samples() - segment.start)
    refuse("truncated", "{}: samples {} to {} were asked for, the file has {}", name, segment.start,
           segment.start + segment.samples, file.stated_samples());
}

struct Mono {
  std::vector<float> samples;
  int rate = 0;
};

Mono decode(const AudioSegment& segment) {
  AudioFile file(segment.path);
  check_request(segment, file);
  Mono mono;
  mono.rate = file.rate();
  int64_t expected = segment.samples;
  if (expected < 0 && file.length_known()) expected = file.stated_samples() - segment.start;
  if (expected > 0) mono.samples.reserve(static_cast<std::size_t>(expected));
  const int64_t got = file.read(segment.start, segment.samples, [&](std::span<const float> block) {
    append_mono(block, file.channels(), segment.channel, mono.samples);
  });
  if (got == 0) refuse("empty", "{}: has no samples", segment.path.string());
  if (got < expected)
    refuse("truncated", "{}: cut short, {} samples where {} should be", segment.path.string(), got, expected);
  return mono;
}

}  // namespace

AudioInfo read_audio_info(const std::filesystem::path& path) {
  {
    const AudioFile file(path);
    if (file.length_known()) return {file.stated_samples(), file.rate(), file.channels()};
  }
  return check_audio(path);
}

AudioInfo check_audio(const std::filesystem::path& path) {
  AudioFile file(path);
  const int64_t samples = file.read(0, -1, [](std::span<const float>) {});
  if (samples == 0) refuse("empty", "{}: has no samples", path.string());
  if (samples < file.stated_samples())
    refuse("truncated", "{}: cut short, {} samples where {} should be", path.string(), samples,
           file.stated_samples());
  return {samples, file.rate(), file.channels()};
}

std::vector<float> decode_segment(const AudioSegment& segment) {
  return decode(segment).samples;
}

std::vector<float> load_waveform(const AudioSegment& segment) {
  Mono mono = decode(segment);
  std::vector<float> samples = resample(mono.samples, mono.rate, model_rate);
  if (static_cast<int64_t>(samples.size()) < shortest_audio)
    refuse("too-short", "{}: {} samples at 16 kHz, at least {} are needed", segment.path.string(),
           samples.size(), shortest_audio);
  return samples;
}

}  // namespace retort
