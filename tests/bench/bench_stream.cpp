// bench_stream MODEL PRECISION RUNS SECONDS PIECE,...: times libretort on one thread: opening the model,
// against reading its file, and noise of so many seconds pushed in pieces of so many samples. Prints one line
// of JSON.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <functional>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "retort/retort.h"

namespace {

double median_seconds(int runs, const std::function<void()>& work) {
  std::vector<double> seconds;
  for (int run = 0; run < runs; ++run) {
    const std::clock_t begun = std::clock();
    work();
    seconds.push_back(static_cast<double>(std::clock() - begun) / CLOCKS_PER_SEC);
  }
  std::sort(seconds.begin(), seconds.end());
  return seconds[seconds.size() / 2];
}

template <class Handle>
Handle* opened(Handle* handle) {
  if (!handle) throw std::runtime_error(retort_error());
  return handle;
}

void read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  static std::vector<char> block(size_t{1} << 20);
  while (file.read(block.data(), static_cast<std::streamsize>(block.size()))) {
  }
}

void push_all(retort_stream* stream, const std::vector<float>& samples, int64_t piece,
              std::vector<float>& frames) {
  retort_stream_reset(stream);
  const auto count = static_cast<int64_t>(samples.size());
  for (int64_t first = 0; first < count; first += piece) {
    const int64_t here = std::min(piece, count - first);
    if (retort_push(stream, samples.data() + first, here, frames.data(), nullptr, here / 320 + 1) < 0)
      throw std::runtime_error(retort_error());
  }
}

int run(char** argv) {
  const std::string folder = argv[1];
  const int runs = std::atoi(argv[3]);
  const double seconds = std::atof(argv[4]);
  const double reading = median_seconds(runs, [&] { read_file(folder + "/model.safetensors"); });
  const double opening =
      median_seconds(runs, [&] { retort_close(opened(retort_open(argv[1], 1, argv[2]))); });
  retort_model* model = opened(retort_open(argv[1], 1, argv[2]));
  retort_stream* stream = opened(retort_stream_open(model, nullptr));
  std::mt19937 engine(7);
  std::normal_distribution<float> noise(0.0f, 0.1f);
  std::vector<float> samples(static_cast<size_t>(seconds * retort_rate(model)));
  for (float& sample : samples) sample = noise(engine);
  std::vector<float> frames(samples.size() / 320 * static_cast<size_t>(retort_dim(model, nullptr)) + 1);
  push_all(stream, samples, retort_rate(model), frames);  // a warm-up
  std::vector<std::string> factors;
  std::istringstream list(argv[5]);
  for (std::string piece; std::getline(list, piece, ',');)
    factors.push_back(fmt::format("\"{}\": {:.4f}", piece, median_seconds(runs, [&] {
                                                             push_all(stream, samples,
                                                                      std::atoll(piece.c_str()), frames);
                                                           }) / seconds));
  fmt::print(
      "{{\"reading_seconds\": {:.4f}, \"opening_seconds\": {:.4f}, \"latency_samples\": {}, "
      "\"real_time_factors\": {{{}}}}}\n",
      reading, opening, retort_latency(model), fmt::join(factors, ", "));
  retort_stream_close(stream);
  retort_close(model);
  return 0;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 6) {
    std::fprintf(stderr, "usage: bench_stream MODEL PRECISION RUNS SECONDS PIECE,...\n");
    return 2;
  }
  return run(argv);
} catch (const std::exception& error) {
  std::fprintf(stderr, "bench_stream: %s\n", error.what());
  return 1;
}
