#include "base/shard.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <iterator>
#include <numeric>
#include <optional>
#include <set>
#include <string_view>

#include "base/error.h"
#include "base/fields.h"

namespace retort {
namespace {

constexpr int most_shards = 99999;      // what five digits in a part's name can hold
constexpr int most_array_id = 4000000;  // what Slurm's MaxArraySize can be at most

std::optional<int> whole_number(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<int> environment_number(const char* name) {
  const char* text = std::getenv(name);
  return text ? whole_number(text) : std::nullopt;
}

std::optional<Shard> shard_of_text(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto index = whole_number(text.substr(0, slash));
  const auto count = whole_number(text.substr(slash + 1));
  if (!index || !count || *index < 0 || *index >= *count || *count > most_shards) return std::nullopt;
  return Shard{*index, *count};
}

// The ids of one piece of a job array's list: "7", "9-13" or "9-13:2".
void add_ids(std::string_view piece, const std::string& list, std::set<int>& ids) {
  const std::size_t colon = std::min(piece.find(':'), piece.size());
  const std::size_t dash = std::min(piece.substr(0, colon).find('-'), colon);
  const auto first = whole_number(piece.substr(0, dash));
  const auto last = dash == colon ? first : whole_number(piece.substr(dash + 1, colon - dash - 1));
  const auto step = colon == piece.size() ? std::optional<int>(1) : whole_number(piece.substr(colon + 1));
  if (!first || !last || !step || *first < 0 || *last < *first || *step < 1 || *last > most_array_id)
    fail_usage("RETORT_ARRAY={}: should be the ids of a job array, such as 0-15 or 1,5,9-13:2",
               one_line(list));
  for (int id = *first; id <= *last; id += *step) ids.insert(id);
}

// "1,5,9-13:2%4" as sbatch --array takes it; what follows % is how many may run at a time.
std::set<int> array_ids(const std::string& list) {
  std::set<int> ids;
  for (const std::string& part : parts_of(std::string_view(list).substr(0, list.find('%'))))
    add_ids(part, list, ids);
  return ids;
}

// Slurm tells a task its id, and of all ids only the least, the greatest and how many there are. (The step
// that it tells is that of one piece of the list.) So where ids have gaps, the list itself must be known.
Shard shard_of_array_task(int id, int count) {
  const int least = environment_number("SLURM_ARRAY_TASK_MIN").value_or(0);
  const int greatest = environment_number("SLURM_ARRAY_TASK_MAX").value_or(least + count - 1);
  if (const char* list = std::getenv("RETORT_ARRAY")) {
    const std::set<int> ids = array_ids(list);
    if (!ids.contains(id) || ids.size() != static_cast<std::size_t>(count))
      fail_usage("RETORT_ARRAY={}: is not the list of this array of {} tasks, of which this is {}",
                 one_line(list), count, id);
    return {static_cast<int>(std::distance(ids.begin(), ids.find(id))), count};
  }
  if (greatest - least + 1 != count)
    fail_usage(
        "--shard auto: the array's {} ids from {} to {} have gaps; set RETORT_ARRAY to what --array was "
        "given, "
        "or RETORT_SHARD=I/N in each task",
        count, least, greatest);
  if (id < least || id > greatest)
    fail_usage("--shard auto: array task {} is not one of {} to {}", id, least, greatest);
  return {id - least, count};
}

Shard shard_of_environment() {
  if (const char* text = std::getenv("RETORT_SHARD")) {
    if (const auto shard = shard_of_text(text)) return *shard;
    fail_usage("RETORT_SHARD={}: should be I/N with I from 0 to N-1", one_line(text));
  }
  const auto id = environment_number("SLURM_ARRAY_TASK_ID");
  const auto count = environment_number("SLURM_ARRAY_TASK_COUNT");
  if (!id || !count) return {};
  if (*count < 1 || *count > most_shards)
    fail_usage("--shard auto: an array of {} tasks; at most {} are possible", *count, most_shards);
  return shard_of_array_task(*id, *count);
}

}  // namespace

std::string Shard::stem() const {
  return fmt::format("part-{:05}-of-{:05}", index, count);
}

Shard parse_shard(const std::string& text) {
  if (text == "auto") return shard_of_environment();
  if (const auto shard = shard_of_text(text)) return *shard;
  fail_usage("--shard {}: should be I/N with I from 0 to N-1 (N at most {}), or auto", text, most_shards);
}

std::string number_ranges(const std::vector<int>& numbers) {
  std::string text;
  for (std::size_t begin = 0, end = 0; begin < numbers.size(); begin = end) {
    for (end = begin + 1; end < numbers.size() && numbers[end] == numbers[end - 1] + 1;) ++end;
    if (begin > 0) text += ',';
    text += end - begin == 1 ? std::to_string(numbers[begin])
                             : fmt::format("{}-{}", numbers[begin], numbers[end - 1]);
  }
  return text;
}

Range shard_range(const std::vector<std::int64_t>& weights, const Shard& shard) {
  // An item belongs to the shard in whose share of the total weight its middle lies.
  const double total = static_cast<double>(std::accumulate(weights.begin(), weights.end(), std::int64_t{0}));
  const auto boundary = [&](int index) -> std::size_t {
    if (index == shard.count) return weights.size();
    const double share = total * index / shard.count;
    double before = 0;
    std::size_t item = 0;
    for (; item < weights.size(); ++item) {
      const auto weight = static_cast<double>(weights[item]);
      if (before + weight / 2 >= share) break;
      before += weight;
    }
    return item;
  };
  return {shard.index == 0 ? 0 : boundary(shard.index), boundary(shard.index + 1)};
}

}  // namespace retort
