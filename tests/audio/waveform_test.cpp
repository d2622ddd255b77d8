#include "audio/waveform.h"

#include <sndfile.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <fstream>
#include <limits>
#include <numbers>
#include <span>

#include "base/files.h"

using namespace retort;
namespace fs = std::filesystem;

namespace {

std::vector<float> tone(int64_t samples, double frequency, int rate) {
  std::vector<float> values(static_cast<std::size_t>(samples));
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(0.5 * std::sin(2 * std::numbers::pi * frequency * double(i) / rate));
  return values;
}

fs::path write_audio(const fs::path& path, const std::vector<float>& interleaved, int rate, int channels,
                     int format) {
  SF_INFO info{};
  info.samplerate = rate;
  info.channels = channels;
  info.format = format;
  SNDFILE* file = sf_open(path.c_str(), SFM_WRITE, &info);
  REQUIRE(file != nullptr);
  const auto frames = static_cast<sf_count_t>(interleaved.size()) / channels;
  REQUIRE(sf_writef_float(file, interleaved.data(), frames) == frames);
  sf_close(file);
  return path;
}

fs::path write_float_wav(const fs::path& path, const std::vector<float>& values) {
  return write_audio(path, values, 16000, 1, SF_FORMAT_WAV | SF_FORMAT_FLOAT);
}

// Infinite where the lengths differ.
double largest_difference(std::span<const float> a, std::span<const float> b) {
  if (a.size() != b.size()) return std::numeric_limits<double>::infinity();
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(double(a[i]) - b[i]));
  return largest;
}

void cut(const fs::path& path, std::uintmax_t bytes) {
  fs::resize_file(path, fs::file_size(path) - bytes);
}

// The reason of the AudioError that the action throws, or "" if it throws none.
template <class Action>
std::string reason_of(Action action) {
  try {
    action();
  } catch (const AudioError& error) {
    CHECK(std::string(error.what()).find('\n') == std::string::npos);
    return error.reason();
  }
  return "";
}

std::string load_reason(const AudioSegment& segment) {
  return reason_of([&] { load_waveform(segment); });
}

std::string check_reason(const fs::path& path) {
  return reason_of([&] { check_audio(path); });
}

}  // namespace

TEST_CASE("lossless formats give the samples that were written, to the last of 16 bits") {
  const TemporaryFolder folder;
  const std::vector<float> values = tone(5000, 330, 16000);
  for (const int format : {SF_FORMAT_WAV | SF_FORMAT_PCM_16, SF_FORMAT_FLAC | SF_FORMAT_PCM_16,
                           SF_FORMAT_AIFF | SF_FORMAT_PCM_16, SF_FORMAT_W64 | SF_FORMAT_FLOAT}) {
    CAPTURE(format);
    const fs::path path = write_audio(folder.path() / "audio", values, 16000, 1, format);
    CHECK(largest_difference(load_waveform({path}), values) <= 1.01 / 32768);
    const AudioInfo info = read_audio_info(path);
    CHECK(info.samples == 5000);
    CHECK(info.rate == 16000);
    CHECK(info.channels == 1);
    CHECK(check_audio(path).samples == 5000);
  }
}

TEST_CASE("lossy formats have the stated length and about the samples") {
  const TemporaryFolder folder;
  const std::vector<float> values = tone(20000, 330, 16000);
  for (const int format : {SF_FORMAT_OGG | SF_FORMAT_VORBIS, SF_FORMAT_OGG | SF_FORMAT_OPUS}) {
    CAPTURE(format);
    const fs::path path = write_audio(folder.path() / "audio.ogg", values, 16000, 1, format);
    const std::vector<float> decoded = load_waveform({path});
    const AudioInfo info = check_audio(path);
    REQUIRE(static_cast<int64_t>(decoded.size()) == resampled_length(info.samples, info.rate, 16000));
    double error = 0;
    for (std::size_t i = 2000; i < 18000; ++i)
      error = std::max<double>(error, std::abs(decoded[i] - values[i]));
    CHECK(error < 0.1);
  }
}

TEST_CASE("a segment is a piece of the file, also one that begins late") {
  const TemporaryFolder folder;
  const std::vector<float> values = tone(200000, 330, 16000);
  const fs::path path = write_float_wav(folder.path() / "a.wav", values);
  const std::span<const float> all(values);
  CHECK(largest_difference(decode_segment({path, 70000, 66000}), all.subspan(70000, 66000)) == 0);
  CHECK(largest_difference(decode_segment({path, 199000, -1}), all.subspan(199000)) == 0);
}

TEST_CASE("channels are picked or averaged") {
  const TemporaryFolder folder;
  const std::vector<float> left = tone(1000, 330, 16000);
  const std::vector<float> right = tone(1000, 700, 16000);
  std::vector<float> both;
  std::vector<float> mean;
  for (std::size_t i = 0; i < left.size(); ++i) {
    both.insert(both.end(), {left[i], right[i]});
    mean.push_back(static_cast<float>((double(left[i]) + right[i]) / 2));
  }
  const fs::path path = write_audio(folder.path() / "a.wav", both, 16000, 2, SF_FORMAT_WAV | SF_FORMAT_FLOAT);
  CHECK(largest_difference(decode_segment({path, 0, -1, 0}), left) == 0);
  CHECK(largest_difference(decode_segment({path, 0, -1, 1}), right) == 0);
  CHECK(largest_difference(decode_segment({path}), mean) == 0);
  CHECK(load_reason({path, 0, -1, 2}) == "no-such-channel");
}

TEST_CASE("resampling keeps a tone's frequency, phase and level, and has the length it promises") {
  for (const int rate : {8000, 11025, 22050, 44100, 48000}) {
    CAPTURE(rate);
    for (const int64_t samples : {rate, rate + 1, rate + 17}) {
      const std::vector<float> at_16k = resample(tone(samples, 440, rate), rate, 16000);
      REQUIRE(static_cast<int64_t>(at_16k.size()) == resampled_length(samples, rate, 16000));
      const std::vector<float> expected = tone(static_cast<int64_t>(at_16k.size()), 440, 16000);
      double error = 0;
      for (std::size_t i = 2000; i < 14000; ++i)
        error = std::max<double>(error, std::abs(at_16k[i] - expected[i]));
      CHECK(error < 1e-4);
    }
  }
  CHECK(resampled_length(0, 44100, 16000) == 0);
  CHECK(resampled_length(44100, 44100, 16000) == 16000);
  CHECK(resampled_length(1, 44100, 16000) == 1);
  CHECK(resampled_length(3, 8000, 16000) == 6);
}

TEST_CASE("what cannot be used has a reason") {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "a.wav";
  CHECK(load_reason({path}) == "missing");
  CHECK(load_reason({folder.path()}) == "not-audio");

  std::ofstream(path) << "";
  CHECK(load_reason({path}) == "empty");
  std::ofstream(path) << "these are words, not sounds, and there are more than a header's worth of them";
  CHECK(load_reason({path}) == "not-audio");
  const fs::path headerless = folder.path() / "words.au";
  std::ofstream(headerless) << std::string(5000, 'w');
  CHECK(load_reason({headerless}) == "not-audio");

  write_float_wav(path, {});
  CHECK(load_reason({path}) == "empty");
  CHECK(check_reason(path) == "empty");
  write_float_wav(path, tone(399, 330, 16000));
  CHECK(load_reason({path}) == "too-short");
  CHECK(check_reason(path).empty());
  write_float_wav(path, tone(400, 330, 16000));
  CHECK(load_reason({path}).empty());
  CHECK(load_reason({path, 0, 401}) == "truncated");
  CHECK(load_reason({path, 400, 10}) == "bad-segment");
  CHECK(load_reason({path, -1, 10}) == "bad-segment");
  CHECK(load_reason({path, 0, 0}) == "empty");
  CHECK(load_reason({path, 0, -1, -1, 8000}) == "wrong-rate");
}

TEST_CASE("files that were cut short are recognised") {
  const TemporaryFolder folder;
  const std::vector<float> values = tone(20000, 330, 16000);
  for (const int format : {SF_FORMAT_WAV | SF_FORMAT_PCM_16, SF_FORMAT_AIFF | SF_FORMAT_PCM_16,
                           SF_FORMAT_FLAC | SF_FORMAT_PCM_16}) {
    CAPTURE(format);
    const fs::path path = write_audio(folder.path() / "a", values, 16000, 1, format);
    CHECK(check_reason(path).empty());
    cut(path, fs::file_size(path) / 3);
    CHECK(check_reason(path) == "truncated");
    CHECK(load_reason({path}) == "truncated");
  }
}

TEST_CASE("a WAV file written to a pipe, whose size is left open, is read to its end") {
  const TemporaryFolder folder;
  const fs::path path = write_audio(folder.path() / "a.wav", tone(20000, 330, 16000), 16000, 1,
                                    SF_FORMAT_WAV | SF_FORMAT_PCM_16);
  std::string bytes = read_file(path);
  const std::size_t size = bytes.find("data") + 4;
  bytes.replace(size, 4, "\xff\xff\xff\xff");
  std::ofstream(path, std::ios::binary) << bytes;
  CHECK(load_waveform({path}).size() == 20000);
}

TEST_CASE("samples that are not finite are refused wherever they are") {
  const TemporaryFolder folder;
  for (const float wrong :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    for (const std::size_t place : {std::size_t{0}, std::size_t{70000}}) {
      std::vector<float> values = tone(80000, 330, 16000);
      values[place] = wrong;
      const fs::path path = write_float_wav(folder.path() / "a.wav", values);
      CHECK(load_reason({path}) == "not-finite");
      CHECK(check_reason(path) == "not-finite");
    }
  }
}
