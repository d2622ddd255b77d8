// bench_extract MODEL CLIPS SECONDS THREADS RUNS: times the encoder on CLIPS waveforms of SECONDS each, all
// layers of the model folder MODEL, which becomes a random HuBERT Base where there is none. Prints one line
// of JSON.
#include <torch/torch.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <random>

#include "audio/waveform.h"
#include "encoder/frame_encoder.h"
#include "model/model_folder.h"
#include "nn/hubert.h"

namespace {

using Clock = std::chrono::steady_clock;

std::vector<std::vector<float>> make_clips(int count, double seconds) {
  std::mt19937 engine(7);
  std::normal_distribution<float> noise(0.0f, 0.1f);
  std::vector<std::vector<float>> clips(static_cast<size_t>(count));
  for (std::vector<float>& clip : clips) {
    clip.resize(static_cast<size_t>(seconds * retort::model_rate));
    for (float& sample : clip) sample = noise(engine);
  }
  return clips;
}

struct Times {
  double wall = 0;
  double cpu = 0;  // of all threads
  bool operator<(const Times& other) const { return wall < other.wall; }
};

Times time_encode(retort::FrameEncoder& encoder, const std::vector<std::vector<float>>& clips) {
  const auto begun = Clock::now();
  const std::clock_t cpu_begun = std::clock();
  const auto per_batch = static_cast<size_t>(std::max(
      1.0, encoder.batches().seconds * retort::model_rate / static_cast<double>(clips.front().size())));
  for (size_t i = 0; i < clips.size(); i += per_batch) {
    const size_t end = std::min(i + per_batch, clips.size());
    encoder.encode({clips.begin() + static_cast<long>(i), clips.begin() + static_cast<long>(end)});
  }
  return {std::chrono::duration<double>(Clock::now() - begun).count(),
          static_cast<double>(std::clock() - cpu_begun) / CLOCKS_PER_SEC};
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 6) {
    std::fprintf(stderr, "usage: bench_extract MODEL CLIPS SECONDS THREADS RUNS\n");
    return 2;
  }
  const int clips = std::atoi(argv[2]);
  const double seconds = std::atof(argv[3]);
  const int runs = std::atoi(argv[5]);
  retort::EncoderOptions options;
  options.model = argv[1];
  options.layers = "final";
  options.threads = std::atoi(argv[4]);
  if (!std::filesystem::exists(options.model)) {
    torch::manual_seed(1);
    const retort::ModelWeights weights = retort::HubertModel(retort::ModelConfig())->weights();
    retort::write_model(options.model, retort::source_of(weights));
  }
  const auto encoder = retort::make_frame_encoder(options);
  const auto waveforms = make_clips(clips, seconds);
  time_encode(*encoder, waveforms);  // warms caches and lazily made kernels
  std::vector<Times> times;
  for (int i = 0; i < runs; ++i) times.push_back(time_encode(*encoder, waveforms));
  std::sort(times.begin(), times.end());
  std::printf("{\"seconds\": %.4f, \"fastest\": %.4f, \"slowest\": %.4f, \"cpu_seconds\": %.4f}\n",
              times[times.size() / 2].wall, times.front().wall, times.back().wall,
              times[times.size() / 2].cpu);
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "bench_extract: %s\n", error.what());
  return 1;
}
