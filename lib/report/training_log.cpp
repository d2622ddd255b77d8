#include "report/training_log.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <unordered_map>

#include "base/files.h"
#include "base/json.h"
#include "report/text.h"

namespace retort {
namespace {

class LogBuilder {
 public:
  void add_report(const Json& report, int64_t step) {
    log_.last_step = step;
    for (const auto& [key, value] : report.items()) {
      if (key == "step") continue;
      add_number(key, value, step);
      if (!value.is_object()) continue;
      for (const auto& [inner, number] : value.items()) add_number(key + "." + inner, number, step);
    }
  }

  TrainingLog take() { return std::move(log_); }

 private:
  void add_number(const std::string& key, const Json& value, int64_t step) {
    if (!value.is_number()) return;
    const auto [found, is_new] = index_.try_emplace(key, log_.curves.size());
    if (is_new) log_.curves.push_back({printable(key), {}});
    log_.curves[found->second].points.push_back({step, value.get<double>()});
  }

  TrainingLog log_;
  std::unordered_map<std::string, std::size_t> index_;  // of a curve, by its key
};

// One quantity in every log that has it, by step.
std::map<int64_t, std::vector<double>> values_of(const std::vector<TrainingLog>& logs,
                                                 const std::string& key) {
  std::map<int64_t, std::vector<double>> values;
  for (const TrainingLog& log : logs) {
    std::map<int64_t, double> last;
    for (const Curve& curve : log.curves)
      if (curve.key == key)
        for (const Point& point : curve.points) last[point.step] = point.value;
    for (const auto& [step, value] : last) values[step].push_back(value);
  }
  return values;
}

void add_point(TrainingLog& log, int64_t step, double value) {
  log.curves.back().points.push_back({step, value});
  log.last_step = std::max(log.last_step, step);
}

}  // namespace

TrainingLog read_training_log(const std::filesystem::path& path) {
  const std::string text = read_file(path);
  LogBuilder builder;
  int64_t line = 0;
  for (std::size_t begin = 0; begin < text.size(); ++line) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const Json report = Json::parse(text.begin() + static_cast<std::ptrdiff_t>(begin),
                                    text.begin() + static_cast<std::ptrdiff_t>(end), nullptr, false);
    if (report.is_discarded() && end == text.size()) break;
    const std::string where = fmt::format("{}:{}", path.string(), line + 1);
    if (!report.is_object()) fail("{}: is no JSON object; mend the line or remove it", where);
    builder.add_report(report, json_get<int64_t>(report, "step", where));
    begin = end + 1;
  }
  TrainingLog log = builder.take();
  if (log.curves.empty())
    fail("{}: holds no report yet; wait for the first one or leave this run out", path.string());
  return log;
}

LogBand band_of(const std::vector<TrainingLog>& logs) {
  LogBand band;
  for (const Curve& curve : logs.front().curves) {
    std::map<int64_t, std::vector<double>> values = values_of(logs, curve.key);
    std::erase_if(values, [&logs](const auto& at) { return at.second.size() < logs.size(); });
    if (values.empty()) continue;
    for (TrainingLog* log : {&band.low, &band.mean, &band.high}) log->curves.push_back({curve.key, {}});
    for (const auto& [step, numbers] : values) {
      const auto [low, high] = std::minmax_element(numbers.begin(), numbers.end());
      add_point(band.low, step, *low);
      add_point(band.high, step, *high);
      double sum = 0;
      for (const double number : numbers) sum += number;
      add_point(band.mean, step, sum / static_cast<double>(numbers.size()));
    }
  }
  if (band.mean.curves.empty())
    fail("the {} logs report no quantity at the same step; give those of one training only", logs.size());
  return band;
}

}  // namespace retort
