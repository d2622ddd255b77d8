#include "measures/trials.h"

#include <charconv>
#include <cmath>
#include <functional>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "measures/edit_distance.h"

namespace retort {
namespace {

// Calls `take` with the three fields of each line that is not empty, and where it stands.
void for_each_line(
    const std::filesystem::path& path, const char* form,
    const std::function<void(const std::vector<std::string>& fields, const std::string& where)>& take) {
  std::size_t number = 0;
  for (const std::string& line : read_lines(path)) {
    const std::string where = fmt::format("{}:{}", path.string(), ++number);
    const std::vector<std::string> fields = words_of(line);
    if (fields.empty()) continue;
    if (fields.size() != 3) fail("{}: {} fields; a line should be: {}", where, fields.size(), form);
    take(fields, where);
  }
}

template <class Map, class Value>
void add(Map& map, const std::string& one, const std::string& other, Value value, const std::string& where) {
  if (!map.emplace(one + " " + other, value).second) fail("{}: {} {} was there before", where, one, other);
}

}  // namespace

TrialTargets read_trials(const std::filesystem::path& path) {
  TrialTargets trials;
  for_each_line(path, "1|0 id id, or: id id target|nontarget",
                [&](const std::vector<std::string>& fields, const std::string& where) {
                  if (fields[2] == "target" || fields[2] == "nontarget")
                    add(trials, fields[0], fields[1], fields[2] == "target", where);
                  else if (fields[0] == "1" || fields[0] == "0")
                    add(trials, fields[1], fields[2], fields[0] == "1", where);
                  else
                    fail("{}: should be 1|0 id id, or: id id target|nontarget", where);
                });
  if (trials.empty()) fail("{}: holds no trials", path.string());
  return trials;
}

TrialScores read_trial_scores(const std::filesystem::path& path) {
  TrialScores scores;
  for_each_line(path, "id id score", [&](const std::vector<std::string>& fields, const std::string& where) {
    double score = 0;
    const char* end = fields[2].data() + fields[2].size();
    const auto [stop, error] = std::from_chars(fields[2].data(), end, score);
    if (error != std::errc{} || stop != end || std::isnan(score))
      fail("{}: {} is no score", where, fields[2]);
    add(scores, fields[0], fields[1], score, where);
  });
  if (scores.empty()) fail("{}: holds no scores", path.string());
  return scores;
}

}  // namespace retort
