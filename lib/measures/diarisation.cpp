#include "measures/diarisation.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <tuple>

#include "audio/waveform.h"
#include "base/error.h"
#include "base/files.h"
#include "measures/edit_distance.h"

namespace retort {
namespace {

constexpr double longest_seconds = 1e6;

// Seconds as samples at 16 kHz; -1 for what is no time.
int64_t samples_of(const std::string& seconds) {
  double value = 0;
  const auto [end, error] = std::from_chars(seconds.data(), seconds.data() + seconds.size(), value);
  const bool whole = error == std::errc{} && end == seconds.data() + seconds.size();
  return whole && value >= 0 && value <= longest_seconds ? std::llround(value * model_rate) : -1;
}

// Turns of one speaker that overlap or touch become one: nobody speaks twice at once.
std::vector<SpeakerTurn> merged(std::vector<SpeakerTurn> turns) {
  std::sort(turns.begin(), turns.end(), [](const SpeakerTurn& a, const SpeakerTurn& b) {
    return std::tie(a.speaker, a.begin) < std::tie(b.speaker, b.begin);
  });
  std::vector<SpeakerTurn> result;
  for (SpeakerTurn& turn : turns) {
    if (turn.begin >= turn.end) continue;
    if (!result.empty() && result.back().speaker == turn.speaker && turn.begin <= result.back().end)
      result.back().end = std::max(result.back().end, turn.end);
    else
      result.push_back(std::move(turn));
  }
  return result;
}

// Speakers by number, in order of their first turn.
class SpeakerNumbers {
 public:
  explicit SpeakerNumbers(const std::vector<SpeakerTurn>& turns) {
    for (const SpeakerTurn& turn : turns) numbers_.emplace(turn.speaker, numbers_.size());
  }
  std::size_t of(const std::string& speaker) const { return numbers_.at(speaker); }
  std::size_t count() const { return numbers_.size(); }

 private:
  std::map<std::string, std::size_t> numbers_;
};

// A stretch of time in which nothing changes: who speaks by reference and by hypothesis.
struct Stretch {
  int64_t samples = 0;
  std::vector<std::size_t> reference, hypothesis;
};

std::vector<std::size_t> speakers_at(int64_t sample, const std::vector<SpeakerTurn>& turns,
                                     const SpeakerNumbers& numbers) {
  std::vector<std::size_t> speakers;
  for (const SpeakerTurn& turn : turns)
    if (turn.begin <= sample && sample < turn.end) speakers.push_back(numbers.of(turn.speaker));
  return speakers;
}

bool in_collar(int64_t sample, const std::vector<SpeakerTurn>& reference, int64_t collar) {
  return std::any_of(reference.begin(), reference.end(), [&](const SpeakerTurn& turn) {
    const auto near = [&](int64_t edge) { return edge - collar <= sample && sample < edge + collar; };
    return near(turn.begin) || near(turn.end);
  });
}

// All stretches that are scored.
std::vector<Stretch> stretches_of(const std::vector<SpeakerTurn>& reference,
                                  const std::vector<SpeakerTurn>& hypothesis, const SpeakerNumbers& speakers,
                                  const SpeakerNumbers& found, const DiarisationRule& rule) {
  std::vector<int64_t> edges;
  for (const SpeakerTurn& turn : reference)
    for (const int64_t edge : {turn.begin, turn.end})
      edges.insert(edges.end(), {edge - rule.collar, edge, edge + rule.collar});
  for (const SpeakerTurn& turn : hypothesis) edges.insert(edges.end(), {turn.begin, turn.end});
  std::sort(edges.begin(), edges.end());
  std::vector<Stretch> stretches;
  for (std::size_t i = 1; i < edges.size(); ++i) {
    const int64_t begin = edges[i - 1];
    if (edges[i] == begin || in_collar(begin, reference, rule.collar)) continue;
    Stretch stretch{edges[i] - begin, speakers_at(begin, reference, speakers),
                    speakers_at(begin, hypothesis, found)};
    if (rule.skip_overlap && stretch.reference.size() > 1) continue;
    stretches.push_back(std::move(stretch));
  }
  return stretches;
}

}  // namespace

SpeakerTurns read_rttm(const std::filesystem::path& path) {
  SpeakerTurns turns;
  std::size_t number = 0;
  for (const std::string& line : read_lines(path)) {
    ++number;
    const std::vector<std::string> fields = words_of(line);
    if (fields.empty() || fields[0] != "SPEAKER") continue;
    if (fields.size() < 8)
      fail("{}:{}: {} fields; a line should be: SPEAKER recording channel start duration <NA> <NA> speaker",
           path.string(), number, fields.size());
    const int64_t begin = samples_of(fields[3]), samples = samples_of(fields[4]);
    if (begin < 0 || samples < 0)
      fail("{}:{}: {} {} is no start and duration in seconds", path.string(), number, fields[3], fields[4]);
    turns[fields[1]].push_back({begin, begin + samples, fields[7]});
  }
  if (turns.empty()) fail("{}: holds no SPEAKER lines", path.string());
  return turns;
}

std::string rttm_of(const std::string& recording, const std::vector<SpeakerTurn>& turns) {
  std::string lines;
  for (const SpeakerTurn& turn : turns)
    lines += fmt::format("SPEAKER {} 1 {:.6f} {:.6f} <NA> <NA> {} <NA> <NA>\n", recording,
                         static_cast<double>(turn.begin) / model_rate,
                         static_cast<double>(turn.end - turn.begin) / model_rate, turn.speaker);
  return lines;
}

double DiarisationErrors::rate() const {
  if (speech == 0) fail("nothing is spoken in what is scored, so there is no diarisation error rate");
  return static_cast<double>(total()) / static_cast<double>(speech);
}

DiarisationErrors& DiarisationErrors::operator+=(const DiarisationErrors& other) {
  speech += other.speech;
  missed += other.missed;
  false_alarm += other.false_alarm;
  confusion += other.confusion;
  return *this;
}

DiarisationErrors count_diarisation_errors(const std::vector<SpeakerTurn>& reference_turns,
                                           const std::vector<SpeakerTurn>& hypothesis_turns,
                                           const DiarisationRule& rule) {
  const std::vector<SpeakerTurn> reference = merged(reference_turns), hypothesis = merged(hypothesis_turns);
  const SpeakerNumbers speakers(reference), found(hypothesis);
  const std::vector<Stretch> stretches = stretches_of(reference, hypothesis, speakers, found, rule);
  std::vector<std::vector<int64_t>> together(speakers.count(), std::vector<int64_t>(found.count(), 0));
  for (const Stretch& stretch : stretches)
    for (const std::size_t one : stretch.reference)
      for (const std::size_t other : stretch.hypothesis) together[one][other] += stretch.samples;
  const std::vector<int> pairing = best_pairing(together);

  DiarisationErrors errors;
  for (const Stretch& stretch : stretches) {
    const auto said = static_cast<int64_t>(stretch.reference.size());
    const auto heard = static_cast<int64_t>(stretch.hypothesis.size());
    const int64_t right = std::count_if(stretch.reference.begin(), stretch.reference.end(), [&](auto one) {
      return std::count(stretch.hypothesis.begin(), stretch.hypothesis.end(), pairing[one]) > 0;
    });
    errors.speech += said * stretch.samples;
    errors.missed += std::max(said - heard, int64_t{0}) * stretch.samples;
    errors.false_alarm += std::max(heard - said, int64_t{0}) * stretch.samples;
    errors.confusion += (std::min(said, heard) - right) * stretch.samples;
  }
  return errors;
}

Json counts_of(const DiarisationErrors& errors) {
  return {{"speech_samples", errors.speech},
          {"missed_samples", errors.missed},
          {"false_alarm_samples", errors.false_alarm},
          {"confusion_samples", errors.confusion}};
}

std::vector<int> best_pairing(const std::vector<std::vector<int64_t>>& weights) {
  const std::size_t rows = weights.size();
  const std::size_t columns = rows == 0 ? 0 : weights.front().size();
  // Shortest augmenting paths over a square of costs -weight, with potentials; row and column 0 are none.
  const std::size_t n = std::max(rows, columns);
  const auto cost = [&](std::size_t row, std::size_t column) {
    return row <= rows && column <= columns ? -weights[row - 1][column - 1] : int64_t{0};
  };
  constexpr int64_t infinity = std::numeric_limits<int64_t>::max();
  std::vector<int64_t> row_potential(n + 1, 0), column_potential(n + 1, 0);
  std::vector<std::size_t> row_of(n + 1, 0);  // by column
  for (std::size_t row = 1; row <= n; ++row) {
    std::vector<int64_t> least(n + 1, infinity);
    std::vector<std::size_t> came_from(n + 1, 0);
    std::vector<bool> reached(n + 1, false);
    row_of[0] = row;
    std::size_t at = 0;
    while (row_of[at] != 0) {
      reached[at] = true;
      std::size_t next = 0;
      for (std::size_t column = 1; column <= n; ++column) {
        if (reached[column]) continue;
        const int64_t reduced =
            cost(row_of[at], column) - row_potential[row_of[at]] - column_potential[column];
        if (reduced < least[column]) {
          least[column] = reduced;
          came_from[column] = at;
        }
        if (next == 0 || least[column] < least[next]) next = column;
      }
      const int64_t shift = least[next];
      for (std::size_t column = 0; column <= n; ++column) {
        if (reached[column]) {
          row_potential[row_of[column]] += shift;
          column_potential[column] -= shift;
        } else if (least[column] != infinity) {
          least[column] -= shift;
        }
      }
      at = next;
    }
    for (; at != 0; at = came_from[at]) row_of[at] = row_of[came_from[at]];
  }
  std::vector<int> pairing(rows, -1);
  for (std::size_t column = 1; column <= columns; ++column)
    if (row_of[column] >= 1 && row_of[column] <= rows)
      pairing[row_of[column] - 1] = static_cast<int>(column) - 1;
  return pairing;
}

}  // namespace retort
