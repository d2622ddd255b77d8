// bench_encode MODEL ENGINE PRECISION THREADS RUNS SECONDS,...: times the encoder on noise of these lengths,
// after one warm-up. Prints one line of JSON.
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <random>
#include <sstream>

#include "audio/waveform.h"
#include "encoder/frame_encoder.h"
#include "model/checkpoint.h"
#include "model/tensors.h"
#include "torch_encoder/use_torch_encoder.h"

namespace {

using Clock = std::chrono::steady_clock;
using Waveforms = std::vector<std::vector<float>>;

Waveforms make_clips(const std::string& lengths) {
  std::mt19937 engine(7);
  std::normal_distribution<float> noise(0.0f, 0.1f);
  Waveforms clips;
  std::istringstream list(lengths);
  for (std::string seconds; std::getline(list, seconds, ',');) {
    clips.emplace_back(static_cast<size_t>(std::stod(seconds) * retort::model_rate));
    for (float& sample : clips.back()) sample = noise(engine);
  }
  return clips;
}

struct Times {
  double wall = 0;
  double cpu = 0;  // of all threads
  bool operator<(const Times& other) const { return wall < other.wall; }
};

// As many clips at a time as the encoder asks for.
Times time_encode(retort::FrameEncoder& encoder, const Waveforms& clips) {
  const auto begun = Clock::now();
  const std::clock_t cpu_begun = std::clock();
  const double most = encoder.batches().seconds * retort::model_rate;
  Waveforms batch;
  double samples = 0;
  for (const std::vector<float>& clip : clips) {
    const auto length = static_cast<double>(clip.size());
    if (!batch.empty() && samples + length > most) {
      encoder.encode(batch);
      batch.clear();
      samples = 0;
    }
    batch.push_back(clip);
    samples += length;
  }
  encoder.encode(batch);
  return {std::chrono::duration<double>(Clock::now() - begun).count(),
          static_cast<double>(std::clock() - cpu_begun) / CLOCKS_PER_SEC};
}

double gigamacs(const std::string& model, const Waveforms& clips) {
  const retort::ModelConfig config = retort::read_config(model);
  double macs = 0;
  for (const std::vector<float>& clip : clips)
    macs += static_cast<double>(retort::count_macs(config, static_cast<int64_t>(clip.size())).total);
  return macs * 1e-9;
}

int run(char** argv) {
  retort::EncoderOptions options;
  options.model = argv[1];
  options.layers = "final";
  options.engine = argv[2];
  retort::use_torch_encoder();
  options.precision = argv[3];
  options.threads = std::atoi(argv[4]);
  const auto begun = Clock::now();
  const auto encoder = retort::make_frame_encoder(options);
  const double load = std::chrono::duration<double>(Clock::now() - begun).count();
  const Waveforms clips = make_clips(argv[6]);
  time_encode(*encoder, clips);
  std::vector<Times> times(static_cast<size_t>(std::atoi(argv[5])));
  for (Times& time : times) time = time_encode(*encoder, clips);
  std::sort(times.begin(), times.end());
  const Times& median = times[times.size() / 2];
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  fmt::print(
      "{{\"seconds\": {:.4f}, \"fastest\": {:.4f}, \"slowest\": {:.4f}, \"cpu_seconds\": {:.4f}, "
      "\"load_seconds\": {:.4f}, \"peak_mib\": {}, \"gigamacs\": {:.3f}}}\n",
      median.wall, times.front().wall, times.back().wall, median.cpu, load, usage.ru_maxrss / 1024,
      gigamacs(options.model, clips));
  return 0;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 7) {
    std::fprintf(stderr, "usage: bench_encode MODEL ENGINE PRECISION THREADS RUNS SECONDS,...\n");
    return 2;
  }
  return run(argv);
} catch (const std::exception& error) {
  std::fprintf(stderr, "bench_encode: %s\n", error.what());
  return 1;
}
