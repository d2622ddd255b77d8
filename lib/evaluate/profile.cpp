#include "evaluate/profile.h"

#include <algorithm>
#include <chrono>
#include <fstream>

#include "audio/waveform.h"
#include "base/random.h"
#include "base/threads.h"
#include "encoder/frame_encoder.h"
#include "model/checkpoint.h"
#include "model/tensors.h"

namespace retort {
namespace {

constexpr const char* protocol = "profile-1";

std::vector<float> noise(double seconds) {
  Random random(1);
  std::vector<float> samples(static_cast<std::size_t>(seconds * model_rate));
  for (float& sample : samples) sample = static_cast<float>(0.2 * random.uniform() - 0.1);
  return samples;
}

// The value of a line "key: value" in a file of /proc, or "" where there is none.
std::string proc_value(const char* file, std::string_view key) {
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(key)) return line.substr(std::min(line.size(), line.find(':') + 2));
  return "";
}

// Forgets the peak so far, so that each model has its own; where the kernel refuses, peaks only grow.
void reset_peak_memory() {
  std::ofstream("/proc/self/clear_refs") << "5";
}

// The most memory that this process held since then, in bytes.
int64_t peak_memory() {
  const std::string kilobytes = proc_value("/proc/self/status", "VmHWM:");
  return kilobytes.empty() ? 0 : std::stoll(kilobytes) * 1024;
}

// Median seconds of one call.
double median_seconds(FrameEncoder& encoder, const std::vector<std::vector<float>>& waveforms, int repeats) {
  encoder.encode(waveforms);  // warms caches up
  std::vector<double> seconds;
  for (int repeat = 0; repeat < repeats; ++repeat) {
    const auto begin = std::chrono::steady_clock::now();
    encoder.encode(waveforms);
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  std::nth_element(seconds.begin(), seconds.begin() + repeats / 2, seconds.end());
  return seconds[static_cast<std::size_t>(repeats / 2)];
}

Json measure_speed(const std::string& model, const ProfileOptions& options) {
  const int all = options.threads > 0 ? options.threads : available_threads();
  Json rows = Json::array();
  for (const int threads : {1, all}) {
    if (threads == all && all == 1 && !rows.empty()) break;
    EncoderOptions encoder_options;
    encoder_options.model = model;
    encoder_options.threads = threads;
    const std::unique_ptr<FrameEncoder> encoder = make_frame_encoder(encoder_options);
    for (const std::size_t batch : {1, 8}) {
      const std::vector<std::vector<float>> waveforms(batch, noise(options.seconds));
      const double seconds = median_seconds(*encoder, waveforms, options.repeats);
      const double audio = options.seconds * static_cast<double>(batch);
      rows.push_back({{"threads", threads},
                      {"batch", batch},
                      {"seconds", seconds},
                      {"real_time_factor", seconds / audio},
                      {"times_real_time", audio / seconds}});
    }
  }
  return rows;
}

Json profile_model(const std::string& model, const ProfileOptions& options) {
  reset_peak_memory();
  const ModelWeights weights = read_model(model);
  const ParameterCount parameters = count_parameters(weights.config);
  const auto samples = static_cast<int64_t>(options.seconds * model_rate);
  const MacCount macs = count_macs(weights.config, samples);
  Json per_second = Json::object();
  for (const auto& [component, count] : macs.by_component)
    per_second[component] = static_cast<double>(count) / options.seconds;
  return {
      {"model", weights.hash()},
      {"parameters",
       {{"backbone", parameters.backbone}, {"total", parameters.total}, {"by_role", parameters.by_role}}},
      {"macs_per_second",
       {{"total", static_cast<double>(macs.total) / options.seconds}, {"by_component", per_second}}},
      {"bytes",
       {{"f32", parameters.backbone * 4}, {"f16", parameters.backbone * 2}, {"int8", parameters.backbone}}},
      {"speed", measure_speed(model, options)},
      {"peak_memory_bytes", peak_memory()}};
}

// "student" of "run/student/".
std::string folder_name(const std::filesystem::path& path) {
  return path.has_filename() ? path.filename().string() : path.parent_path().filename().string();
}

std::string table_of(const Json& result, const std::vector<std::string>& names) {
  std::string table = fmt::format("{:24} {:>10} {:>12} {:>10} {:>10} {:>10}\n", "model", "params M",
                                  "GMAC/s audio", "x RT 1 thr", "x RT all", "peak MiB");
  for (std::size_t i = 0; i < names.size(); ++i) {
    const Json& row = result.at("metrics").at(i);
    const Json& speed = row.at("speed");
    table += fmt::format("{:24} {:10.3f} {:12.4f} {:10.1f} {:10.1f} {:10.0f}\n", folder_name(names[i]),
                         row.at("parameters").at("backbone").get<double>() / 1e6,
                         row.at("macs_per_second").at("total").get<double>() / 1e9,
                         speed.front().at("times_real_time").get<double>(),
                         speed.back().at("times_real_time").get<double>(),
                         row.at("peak_memory_bytes").get<double>() / (1 << 20));
  }
  return table.substr(0, table.size() - 1);
}

}  // namespace

std::string run_profile(const ProfileOptions& options) {
  ResultFile file(options.result);
  Json hashes = Json::array();
  for (const std::string& model : options.models) hashes.push_back(read_model(model).hash());
  const Json job = {
      {"task", "profile"},
      {"protocol", protocol},
      {"model", hashes},
      {"options",
       {{"seconds", options.seconds}, {"repeats", options.repeats}, {"threads", options.threads}}}};
  if (const auto done = file.begin(job)) return table_of(*done, options.models);
  Json rows = Json::array();
  for (const std::string& model : options.models) rows.push_back(profile_model(model, options));
  const Json machine = {{"cpu", proc_value("/proc/cpuinfo", "model name")}, {"threads", available_threads()}};
  return table_of(file.write({{"metrics", rows}, {"machine", machine}}), options.models);
}

}  // namespace retort
