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

constexpr const char* protocol = "profile-2";

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

// One thread, then all of them.
std::vector<int> thread_counts(const ProfileOptions& options) {
  const int all = options.threads > 0 ? options.threads : available_threads();
  return all == 1 ? std::vector<int>{1} : std::vector<int>{1, all};
}

Json speed_row(FrameEncoder& encoder, int threads, int batch, const ProfileOptions& options) {
  const std::vector<std::vector<float>> waveforms(static_cast<std::size_t>(batch), noise(options.seconds));
  const double seconds = median_seconds(encoder, waveforms, options.repeats);
  const double audio = options.seconds * batch;
  return {{"threads", threads},
          {"batch", batch},
          {"seconds", seconds},
          {"real_time_factor", seconds / audio},
          {"times_real_time", audio / seconds}};
}

// How long one second of speech is on its way.
Json latency_row(FrameEncoder& encoder, int threads, const ProfileOptions& options) {
  return {{"threads", threads}, {"seconds", median_seconds(encoder, {noise(1)}, options.repeats)}};
}

// Adds the rows of one precision; every row says which.
void measure(const std::string& model, const std::string& precision, const ProfileOptions& options,
             Json& row) {
  reset_peak_memory();
  const auto add = [&](const char* list, const Json& measured) {
    Json one = {{"precision", precision}};
    one.update(measured);
    row[list].push_back(std::move(one));
  };
  for (const int threads : thread_counts(options)) {
    EncoderOptions encoder_options;
    encoder_options.model = model;
    encoder_options.threads = threads;
    encoder_options.precision = precision;
    const std::unique_ptr<FrameEncoder> encoder = make_frame_encoder(encoder_options);
    for (const int batch : {1, 8}) add("speed", speed_row(*encoder, threads, batch, options));
    add("latency_of_1_s", latency_row(*encoder, threads, options));
  }
  row["peak_memory_bytes"][precision] = peak_memory();
}

Json profile_model(const std::string& model, const std::string& hash, const ProfileOptions& options) {
  const ModelConfig config = read_config(model);
  const ParameterCount parameters = count_parameters(config);
  const auto samples = static_cast<int64_t>(options.seconds * model_rate);
  const MacCount macs = count_macs(config, samples);
  Json per_second = Json::object();
  for (const auto& [component, count] : macs.by_component)
    per_second[component] = static_cast<double>(count) / options.seconds;
  Json row = {
      {"model", hash},
      {"parameters",
       {{"backbone", parameters.backbone}, {"total", parameters.total}, {"by_role", parameters.by_role}}},
      {"macs_per_second",
       {{"total", static_cast<double>(macs.total) / options.seconds}, {"by_component", per_second}}},
      {"bytes",
       {{"f32", parameters.backbone * 4}, {"f16", parameters.backbone * 2}, {"int8", parameters.backbone}}},
      {"speed", Json::array()},
      {"latency_of_1_s", Json::array()},
      {"peak_memory_bytes", Json::object()}};
  for (const std::string& precision : options.precisions) measure(model, precision, options, row);
  return row;
}

// "student" of "run/student/".
std::string folder_name(const std::filesystem::path& path) {
  return path.has_filename() ? path.filename().string() : path.parent_path().filename().string();
}

// The rows of a list that are of this precision.
std::vector<Json> rows_of(const Json& list, const std::string& precision) {
  std::vector<Json> rows;
  for (const Json& row : list)
    if (row.at("precision") == precision) rows.push_back(row);
  return rows;
}

std::string table_of(const Json& result, const ProfileOptions& options) {
  std::string table = fmt::format("{:24} {:>9} {:>10} {:>12} {:>9} {:>10} {:>10} {:>10} {:>10} {:>9}",
                                  "model", "precision", "params M", "GMAC/s audio", "f32 MiB", "x RT 1 thr",
                                  "x RT all", "1 s: 1 thr", "all, ms", "peak MiB");
  for (std::size_t i = 0; i < options.models.size(); ++i) {
    const Json& row = result.at("metrics").at(i);
    for (const std::string& precision : options.precisions) {
      const std::vector<Json> speed = rows_of(row.at("speed"), precision);
      const std::vector<Json> latency = rows_of(row.at("latency_of_1_s"), precision);
      table += fmt::format(
          "\n{:24} {:>9} {:10.3f} {:12.4f} {:9.1f} {:10.1f} {:10.1f} {:10.1f} {:10.1f} {:9.0f}",
          folder_name(options.models[i]), precision, row.at("parameters").at("backbone").get<double>() / 1e6,
          row.at("macs_per_second").at("total").get<double>() / 1e9,
          row.at("bytes").at("f32").get<double>() / (1 << 20),
          speed.front().at("times_real_time").get<double>(), speed.back().at("times_real_time").get<double>(),
          1e3 * latency.front().at("seconds").get<double>(), 1e3 * latency.back().at("seconds").get<double>(),
          row.at("peak_memory_bytes").at(precision).get<double>() / (1 << 20));
    }
  }
  return table;
}

}  // namespace

std::string run_profile(const ProfileOptions& options) {
  ResultFile file(options.result);
  Json hashes = Json::array();
  for (const std::string& model : options.models) hashes.push_back(read_model(model).hash());
  const Json job = {{"task", "profile"},
                    {"protocol", protocol},
                    {"model", hashes},
                    {"options",
                     {{"seconds", options.seconds},
                      {"repeats", options.repeats},
                      {"threads", options.threads},
                      {"precisions", options.precisions}}}};
  if (const auto done = file.begin(job)) return table_of(*done, options);
  Json rows = Json::array();
  for (std::size_t i = 0; i < options.models.size(); ++i)
    rows.push_back(profile_model(options.models[i], hashes[i].get<std::string>(), options));
  const Json machine = {{"cpu", proc_value("/proc/cpuinfo", "model name")}, {"threads", available_threads()}};
  return table_of(file.write({{"metrics", rows}, {"machine", machine}}), options);
}

}  // namespace retort
