#include "measures/abx.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <numeric>
#include <tuple>

#include "base/pages.h"
#include "base/threads.h"
#include "kernels/product.h"

namespace retort {
namespace {

// Frames of targets that are held against X at a time.
constexpr int64_t most_frames = 4096;

// Turns cosines into angles over pi, within 2e-7: sqrt(1 - x) times a polynomial for x >= 0 (Abramowitz and
// Stegun, 4.4.46), which the compiler makes vectors of where it would call std::acos value by value.
void turn_to_angles(float* cosines, int64_t count) {
  constexpr float terms[] = {1.5707963050f, -0.2145988016f, 0.0889789874f, -0.0501743046f,
                             0.0308918810f, -0.0170881256f, 0.0066700901f, -0.0012624911f};
  for (int64_t i = 0; i < count; ++i) {
    const float size = std::min(std::fabs(cosines[i]), 1.0f);
    float sum = terms[7];
    for (int term = 6; term >= 0; --term) sum = sum * size + terms[term];
    const float angle = std::sqrt(1.0f - size) * sum * std::numbers::inv_pi_v<float>;
    cosines[i] = cosines[i] < 0 ? 1.0f - angle : angle;
  }
}

// What dynamic time warping has spent on the way to a pair of frames, and over how many pairs.
struct WarpStep {
  float cost = 0;
  int length = 0;
};

// Of equal ways on, the diagonal one is taken, then the one from the frame of the target before: the path
// that fastabx finds on its way back, which decides what the cost is divided by.
const WarpStep& cheapest(const WarpStep& diagonal, const WarpStep& left, const WarpStep& up) {
  if (diagonal.cost <= left.cost && diagonal.cost <= up.cost) return diagonal;
  return left.cost <= up.cost ? left : up;
}

// `angles` holds x_frames rows, `stride` apart, of y_frames values.
float warped_distance(const float* angles, int64_t stride, int64_t x_frames, int64_t y_frames,
                      std::vector<WarpStep>& row) {
  row.resize(static_cast<std::size_t>(y_frames));
  for (int64_t i = 0; i < x_frames; ++i) {
    WarpStep diagonal;  // of the row before
    for (int64_t j = 0; j < y_frames; ++j) {
      WarpStep& here = row[static_cast<std::size_t>(j)];
      const WarpStep up = here;
      WarpStep before;
      if (i == 0 && j > 0) before = row[static_cast<std::size_t>(j - 1)];
      if (i > 0) before = j == 0 ? up : cheapest(diagonal, row[static_cast<std::size_t>(j - 1)], up);
      here = {before.cost + angles[i * stride + j], before.length + 1};
      diagonal = up;
    }
  }
  return row.back().cost / static_cast<float>(row.back().length);
}

// Items that are compared with each other, in order of speaker and phone.
using Group = std::vector<std::size_t>;

// Items [begin, end) of a group that have the same speaker and phone.
struct Run {
  int speaker = 0;
  int phone = 0;
  std::size_t begin = 0;
  std::size_t end = 0;

  std::size_t size() const { return end - begin; }
};

std::vector<Run> runs_of(const Group& group, const AbxItems& items) {
  std::vector<Run> runs;
  for (std::size_t i = 0; i < group.size(); ++i) {
    const AbxLabels& labels = items.labels(group[i]);
    if (runs.empty() || runs.back().speaker != labels.speaker || runs.back().phone != labels.phone)
      runs.push_back({labels.speaker, labels.phone, i, i});
    runs.back().end = i + 1;
  }
  return runs;
}

std::vector<Group> make_groups(const AbxItems& items, AbxSpeakers speakers) {
  const auto key = [&](std::size_t item) {
    const AbxLabels& labels = items.labels(item);
    return std::pair(labels.context, speakers == AbxSpeakers::within ? labels.speaker : 0);
  };
  Group order(items.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    const AbxLabels& x = items.labels(a);
    const AbxLabels& y = items.labels(b);
    return std::tuple(x.context, x.speaker, x.phone, a) < std::tuple(y.context, y.speaker, y.phone, b);
  });
  std::vector<Group> groups;
  for (const std::size_t item : order) {
    if (groups.empty() || key(groups.back().front()) != key(item)) groups.emplace_back();
    groups.back().push_back(item);
  }
  return groups;
}

// A cell's outcome: how often X was nearer to B, equal distances counting half.
struct Cell {
  int phone = 0;    // of A and X
  int other = 0;    // of B
  int speaker = 0;  // of A and B
  double misses = 0;
  int64_t triples = 0;
};

// The X of one run of a group, held against all that share its cells.
class Comparison {
 public:
  Comparison(const AbxItems& items, const Group& group, const std::vector<Run>& runs, const Run& x,
             AbxSpeakers speakers)
      : items_(items), group_(group), x_(x), speakers_(speakers) {
    std::map<int, const Run*> same_phone;  // by speaker
    for (const Run& run : runs)
      if (run.phone == x.phone && may_be_a(run)) same_phone[run.speaker] = &run;
    for (const Run& run : runs)
      if (run.phone != x.phone && same_phone.contains(run.speaker))
        pairs_.emplace_back(same_phone[run.speaker], &run);
  }

  std::vector<Cell> cells() {
    if (pairs_.empty()) return {};
    measure_distances();
    std::vector<Cell> cells;
    for (const auto& [a, b] : pairs_) cells.push_back(cell_of(*a, *b));
    return cells;
  }

 private:
  bool may_be_a(const Run& run) const {
    if (speakers_ == AbxSpeakers::across) return run.speaker != x_.speaker;
    return run.size() > 1;
  }

  // The runs that any cell needs, in order of the group.
  std::vector<const Run*> targets() const {
    std::vector<const Run*> runs;
    for (const auto& [a, b] : pairs_) {
      runs.push_back(a);
      runs.push_back(b);
    }
    std::sort(runs.begin(), runs.end(), [](const Run* a, const Run* b) { return a->begin < b->begin; });
    runs.erase(std::unique(runs.begin(), runs.end()), runs.end());
    return runs;
  }

  void measure_distances() {
    distances_.assign(x_.size() * group_.size(), 0);
    Group some;  // places in the group
    int64_t frames = 0;
    for (const Run* run : targets())
      for (std::size_t place = run->begin; place < run->end; ++place) {
        some.push_back(place);
        frames += items_.frames(group_[place]);
        if (frames < most_frames) continue;
        measure_distances(some, frames);
        some.clear();
        frames = 0;
      }
    if (frames > 0) measure_distances(some, frames);
  }

  void measure_distances(const Group& some, int64_t frames) {
    std::vector<float> rows;
    rows.reserve(static_cast<std::size_t>(frames * items_.dim()));
    for (const std::size_t place : some) {
      const float* item = items_.rows(group_[place]);
      rows.insert(rows.end(), item, item + items_.frames(group_[place]) * items_.dim());
    }
    const PackedMatrix packed(rows.data(), items_.dim(), frames, Precision::f32);
    for (std::size_t x = 0; x < x_.size(); ++x) {
      const std::size_t item = group_[x_.begin + x];
      angles_.resize(static_cast<std::size_t>(items_.frames(item) * frames));
      Product product;
      product.rows = items_.rows(item);
      product.row_stride = items_.dim();
      product.count = items_.frames(item);
      product.out = angles_.data();
      product.out_stride = frames;
      multiply(path_, packed.panels(), product);
      turn_to_angles(angles_.data(), items_.frames(item) * frames);
      const float* column = angles_.data();
      for (const std::size_t place : some) {
        const int64_t width = items_.frames(group_[place]);
        distances_[x * group_.size() + place] =
            warped_distance(column, frames, items_.frames(item), width, steps_);
        column += width;
      }
    }
  }

  Cell cell_of(const Run& a, const Run& b) {
    Cell cell{x_.phone, b.phone, b.speaker};
    for (std::size_t x = 0; x < x_.size(); ++x) {
      const float* row = distances_.data() + x * group_.size();
      others_.assign(row + b.begin, row + b.end);
      std::sort(others_.begin(), others_.end());
      for (std::size_t place = a.begin; place < a.end; ++place) {
        if (place == x_.begin + x) continue;  // X is no A of its own
        const auto [nearer, farther] = std::equal_range(others_.begin(), others_.end(), row[place]);
        cell.misses +=
            static_cast<double>(nearer - others_.begin()) + 0.5 * static_cast<double>(farther - nearer);
        cell.triples += static_cast<int64_t>(others_.size());
      }
    }
    return cell;
  }

  const CpuPath path_ = cpu_path();
  const AbxItems& items_;
  const Group& group_;
  const Run& x_;
  const AbxSpeakers speakers_;
  std::vector<std::pair<const Run*, const Run*>> pairs_;  // A and B of each cell
  std::vector<float> distances_;                          // (X, places in the group)
  std::vector<float> angles_;
  std::vector<WarpStep> steps_;
  std::vector<float> others_;
};

struct Mean {
  double sum = 0;
  int64_t count = 0;

  void add(double value) {
    sum += value;
    ++count;
  }
  double value() const { return sum / static_cast<double>(count); }
};

AbxScore mean_of(const std::vector<std::vector<Cell>>& outcomes) {
  AbxScore score;
  std::map<std::tuple<int, int, int>, Mean> by_speaker;  // phone, other, speaker
  for (const std::vector<Cell>& cells : outcomes)
    for (const Cell& cell : cells) {
      by_speaker[{cell.phone, cell.other, cell.speaker}].add(cell.misses / static_cast<double>(cell.triples));
      score.triples += cell.triples;
      ++score.cells;
    }
  std::map<std::pair<int, int>, Mean> by_pair;
  for (const auto& [key, mean] : by_speaker) by_pair[{std::get<0>(key), std::get<1>(key)}].add(mean.value());
  Mean all;
  for (const auto& [pair, mean] : by_pair) all.add(mean.value());
  score.phone_pairs = all.count;
  if (all.count > 0) score.error = all.value();
  return score;
}

}  // namespace

void AbxItems::add(const AbxLabels& labels, std::span<const float> rows) {
  const std::size_t width = static_cast<std::size_t>(dim_);
  for (std::size_t begin = 0; begin < rows.size(); begin += width) {
    double squares = 0;
    for (const float value : rows.subspan(begin, width))
      squares += static_cast<double>(value) * static_cast<double>(value);
    const double scale = squares > 0 ? 1 / std::sqrt(squares) : 0;  // zeros are at right angles to all
    for (const float value : rows.subspan(begin, width))
      values_.push_back(static_cast<float>(static_cast<double>(value) * scale));
  }
  labels_.push_back(labels);
  begins_.push_back(static_cast<int64_t>(values_.size() / width));
}

AbxScore abx_score(const AbxItems& items, AbxSpeakers speakers, int threads) {
  const std::vector<Group> groups = make_groups(items, speakers);
  std::vector<std::vector<Run>> runs;
  std::vector<std::pair<std::size_t, std::size_t>> jobs;  // group and run of X
  for (const Group& group : groups) {
    runs.push_back(runs_of(group, items));
    for (std::size_t run = 0; run < runs.back().size(); ++run) jobs.emplace_back(runs.size() - 1, run);
  }
  std::vector<std::vector<Cell>> outcomes(jobs.size());
  parallel_for(jobs.size(), threads > 0 ? threads : available_threads(), [&](std::size_t job) {
    const auto [group, run] = jobs[job];
    outcomes[job] = Comparison(items, groups[group], runs[group], runs[group][run], speakers).cells();
  });
  return mean_of(outcomes);
}

}  // namespace retort
