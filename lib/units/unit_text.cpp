#include "units/unit_text.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <charconv>

#include "audio/waveform.h"
#include "base/json.h"

namespace retort {
namespace {

// A number at the beginning of `text`, which it is taken from; -1 where there is none that a unit may have.
int32_t take_number(std::string_view& text) {
  int32_t number = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{}) return -1;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

double seconds_at(int64_t frame, int hop) {
  return static_cast<double>(frame * hop) / model_rate;
}

// Decimals that every multiple of `hop` samples has in seconds at most; 2 where it is a multiple of 10 ms.
int decimals_of(int hop) {
  int decimals = 2;
  for (int64_t steps = int64_t{hop} * 100; steps % model_rate != 0; steps *= 10) ++decimals;
  return decimals;
}

void check_runs(const UnitRuns& runs, const std::string& where) {
  if (runs.durations.size() != runs.units.size())
    fail("{}: has {} units and {} durations", where, runs.units.size(), runs.durations.size());
  const auto below = [](int32_t least) { return [least](int32_t value) { return value < least; }; };
  if (std::any_of(runs.units.begin(), runs.units.end(), below(0))) fail("{}: a unit is negative", where);
  if (std::any_of(runs.durations.begin(), runs.durations.end(), below(1)))
    fail("{}: a unit lasts less than one frame", where);
}

}  // namespace

std::string units_text(const UnitRuns& runs, bool durations) {
  if (!durations) return fmt::format("{}", fmt::join(runs.units, " "));
  std::string text;
  for (std::size_t i = 0; i < runs.units.size(); ++i)
    text += fmt::format("{}{}:{}", i > 0 ? " " : "", runs.units[i], runs.durations[i]);
  return text;
}

UnitRuns parse_units(std::string_view text, const std::string& where) {
  UnitRuns runs;
  while (!text.empty()) {
    if (text.front() == ' ') {
      text.remove_prefix(1);
      continue;
    }
    const int32_t unit = take_number(text);
    int32_t duration = 1;
    if (text.starts_with(':')) {
      text.remove_prefix(1);
      duration = take_number(text);
    }
    if (unit < 0 || duration < 1 || (!text.empty() && text.front() != ' '))
      fail("{}: is no list of labels", where);
    runs.units.push_back(unit);
    runs.durations.push_back(duration);
  }
  return runs;
}

std::string units_json(const std::string& id, const UnitRuns& runs, const UnitForm& form, int hop) {
  Json json = {{"id", id}, {"units", runs.units}};
  if (form.dedup) json["durations"] = runs.durations;
  if (form.times) {
    std::vector<double> starts, ends;
    int64_t frame = 0;
    for (const int32_t duration : runs.durations) {
      starts.push_back(seconds_at(frame, hop));
      ends.push_back(seconds_at(frame += duration, hop));
    }
    json["start"] = starts;
    json["end"] = ends;
  }
  try {
    return json.dump() + "\n";
  } catch (const Json::type_error&) {
    fail("utterance {}: its id is not UTF-8, which JSON needs", id);
  }
}

IdentifiedUnits parse_units_json(std::string_view line, const std::string& where) {
  const Json json = parse_json(line, where);
  if (!json.is_object()) fail("{}: not a JSON object", where);
  IdentifiedUnits units;
  units.id = json_get<std::string>(json, "id", where);
  units.runs = runs_of_one(json_get<std::vector<int32_t>>(json, "units", where));
  units.runs.durations =
      json_get_or<std::vector<int32_t>>(json, "durations", std::move(units.runs.durations), where);
  check_runs(units.runs, where);
  return units;
}

std::string units_ctm(const std::string& id, const UnitRuns& runs, int hop) {
  if (std::any_of(id.begin(), id.end(), [](unsigned char c) { return std::isspace(c) != 0; }))
    fail("utterance \"{}\": a CTM's ids hold no white space; write FILE.jsonl", id);
  const int decimals = decimals_of(hop);
  std::string lines;
  int64_t frame = 0;
  for (std::size_t i = 0; i < runs.units.size(); ++i) {
    lines += fmt::format("{} 1 {:.{}f} {:.{}f} {}\n", id, seconds_at(frame, hop), decimals,
                         seconds_at(runs.durations[i], hop), decimals, runs.units[i]);
    frame += runs.durations[i];
  }
  return lines;
}

}  // namespace retort
