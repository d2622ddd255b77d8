#include "base/shard.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdlib>
#include <numeric>
#include <optional>
#include <string_view>

#include "base/error.h"

namespace retort {
namespace {

constexpr int most_shards = 99999;  // what five digits in a part's name can hold

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

Shard shard_of_job_array() {
  const auto id = environment_number("SLURM_ARRAY_TASK_ID");
  const auto count = environment_number("SLURM_ARRAY_TASK_COUNT");
  if (!id || !count) return {};
  const Shard shard{*id - environment_number("SLURM_ARRAY_TASK_MIN").value_or(0), *count};
  if (shard.index < 0 || shard.index >= shard.count)
    fail_usage("--shard auto: array task {} of {} is no shard; number the array 0 to {}", *id, *count,
               *count - 1);
  return shard;
}

}  // namespace

std::string Shard::stem() const {
  return fmt::format("part-{:05}-of-{:05}", index, count);
}

Shard parse_shard(const std::string& text) {
  if (text == "auto") return shard_of_job_array();
  const std::size_t slash = text.find('/');
  const auto index =
      slash == std::string::npos ? std::nullopt : whole_number(std::string_view(text).substr(0, slash));
  const auto count =
      slash == std::string::npos ? std::nullopt : whole_number(std::string_view(text).substr(slash + 1));
  if (!index || !count || *index < 0 || *count < 1 || *index >= *count || *count > most_shards)
    fail_usage("--shard {}: should be I/N with I from 0 to N-1 (N at most {}), or auto", text, most_shards);
  return {*index, *count};
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
