#include "measures/abx.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <numeric>
#include <tuple>
#include <utility>

#include "base/pages.h"
#include "base/threads.h"
#include "kernels/product.h"

namespace retort {
namespace {

// Frames of targets that are packed at a time, and of all X that are held against them: packing is dear, and
// what is packed should meet many.
constexpr int64_t most_frames = 4096;
constexpr int64_t most_frames_of_x = 256;

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

// One run of X, and the pairs of runs that A and B of its cells are taken from.
struct Contest {
  const Run* x = nullptr;
  std::vector<std::pair<const Run*, const Run*>> pairs;
};

Contest contest_of(const Run& x, const std::vector<Run>& runs, AbxSpeakers speakers) {
  const auto may_be_a = [&](const Run& run) {
    return speakers == AbxSpeakers::across ? run.speaker != x.speaker : run.size() > 1;
  };
  Contest contest{&x, {}};
  std::map<int, const Run*> same_phone;  // by speaker
  for (const Run& run : runs)
    if (run.phone == x.phone && may_be_a(run)) same_phone[run.speaker] = &run;
  for (const Run& run : runs)
    if (run.phone != x.phone && same_phone.contains(run.speaker))
      contest.pairs.emplace_back(same_phone[run.speaker], &run);
  return contest;
}

// The X of some neighbouring runs of a group, held against all that share their cells.
class Comparison {
 public:
  Comparison(const AbxItems& items, const Group& group, std::vector<Contest> contests)
      : items_(items), group_(group), contests_(std::move(contests)) {
    first_ = contests_.front().x->begin;
    count_ = contests_.back().x->end - first_;
  }

  std::vector<Cell> cells() {
    measure_distances();
    std::vector<Cell> cells;
    for (const Contest& contest : contests_)
      for (const auto& [a, b] : contest.pairs) cells.push_back(cell_of(*contest.x, *a, *b));
    return cells;
  }

 private:
  int64_t frames_at(std::size_t place) const { return items_.frames(group_[place]); }

  // Whether the item at each place of the group is an A or a B of a cell of the contest.
  std::vector<bool> targets_of(const Contest& contest) const {
    std::vector<bool> wanted(group_.size());
    for (const auto& [a, b] : contest.pairs)
      for (const Run* run : {a, b})
        for (std::size_t place = run->begin; place < run->end; ++place) wanted[place] = true;
    return wanted;
  }

  void measure_distances() {
    distances_.assign(count_ * group_.size(), 0);
    for (const Contest& contest : contests_) targets_.push_back(targets_of(contest));
    std::vector<std::size_t> some;
    int64_t frames = 0;
    for (std::size_t place = 0; place < group_.size(); ++place) {
      const auto is_target = [&](const std::vector<bool>& targets) { return targets[place]; };
      if (std::none_of(targets_.begin(), targets_.end(), is_target)) continue;
      some.push_back(place);
      frames += frames_at(place);
      if (frames < most_frames) continue;
      measure_distances(some, frames);
      some.clear();
      frames = 0;
    }
    if (frames > 0) measure_distances(some, frames);
  }

  // Of all X from the targets at these places, `frames` frames in all.
  void measure_distances(const std::vector<std::size_t>& some, int64_t frames) {
    std::vector<float> rows;
    rows.reserve(static_cast<std::size_t>(frames * items_.dim()));
    for (const std::size_t place : some) {
      const float* item = items_.rows(group_[place]);
      rows.insert(rows.end(), item, item + frames_at(place) * items_.dim());
    }
    const PackedMatrix packed(rows.data(), items_.dim(), frames, Precision::f32);
    for (std::size_t i = 0; i < contests_.size(); ++i) {
      if (contests_[i].pairs.empty()) continue;
      for (std::size_t x = contests_[i].x->begin; x < contests_[i].x->end; ++x) {
        measure_angles(x, packed.panels());
        warp(x, targets_[i], some, frames);
      }
    }
  }

  // Of the frames of the X at place `x` with those that were packed.
  void measure_angles(std::size_t x, const Panels& packed) {
    Product product;
    product.rows = items_.rows(group_[x]);
    product.row_stride = items_.dim();
    product.count = frames_at(x);
    angles_.resize(static_cast<std::size_t>(product.count * packed.columns));
    product.out = angles_.data();
    product.out_stride = packed.columns;
    multiply(path_, packed, product);
    turn_to_angles(angles_.data(), product.count * packed.columns);
  }

  // Of the X at place `x` from those of `some`, `frames` frames in all, that are its targets.
  void warp(std::size_t x, const std::vector<bool>& targets, const std::vector<std::size_t>& some,
            int64_t frames) {
    const float* column = angles_.data();
    for (const std::size_t place : some) {
      const int64_t width = frames_at(place);
      if (targets[place])
        distances_of(x)[place] = warped_distance(column, frames, frames_at(x), width, steps_);
      column += width;
    }
  }

  // By place in the group.
  float* distances_of(std::size_t x) { return distances_.data() + (x - first_) * group_.size(); }

  Cell cell_of(const Run& of_x, const Run& a, const Run& b) {
    Cell cell{of_x.phone, b.phone, b.speaker};
    for (std::size_t x = of_x.begin; x < of_x.end; ++x) {
      const float* row = distances_of(x);
      others_.assign(row + b.begin, row + b.end);
      std::sort(others_.begin(), others_.end());
      for (std::size_t place = a.begin; place < a.end; ++place) {
        if (place == x) continue;  // X is no A of its own
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
  const std::vector<Contest> contests_;
  std::size_t first_ = 0;                   // place in the group of the first X
  std::size_t count_ = 0;                   // of all X
  std::vector<std::vector<bool>> targets_;  // by contest and place
  std::vector<float> distances_;            // (X, places in the group)
  std::vector<float> angles_;               // (frames of an X, frames of some targets)
  std::vector<WarpStep> steps_;
  std::vector<float> others_;
};

// What one thread does at a time: neighbouring runs of a group as X.
struct Job {
  std::size_t group = 0;
  std::size_t first = 0;
  std::size_t last = 0;  // behind the last
};

std::vector<Job> jobs_of(const std::vector<Group>& groups, const std::vector<std::vector<Run>>& runs,
                         const AbxItems& items) {
  std::vector<Job> jobs;
  for (std::size_t group = 0; group < groups.size(); ++group) {
    int64_t frames = most_frames_of_x;  // of the last job
    for (std::size_t run = 0; run < runs[group].size(); ++run) {
      if (frames >= most_frames_of_x) {
        jobs.push_back({group, run, run});
        frames = 0;
      }
      jobs.back().last = run + 1;
      for (std::size_t place = runs[group][run].begin; place < runs[group][run].end; ++place)
        frames += items.frames(groups[group][place]);
    }
  }
  return jobs;
}

std::vector<Cell> cells_of(const Job& job, const Group& group, const std::vector<Run>& runs,
                           const AbxItems& items, AbxSpeakers speakers) {
  std::vector<Contest> contests;
  bool has_pairs = false;
  for (std::size_t run = job.first; run < job.last; ++run) {
    contests.push_back(contest_of(runs[run], runs, speakers));
    has_pairs = has_pairs || !contests.back().pairs.empty();
  }
  if (!has_pairs) return {};
  return Comparison(items, group, std::move(contests)).cells();
}

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
  std::vector<float> values;
  values.reserve(rows.size());
  for (std::size_t begin = 0; begin < rows.size(); begin += width) {
    double squares = 0;
    for (const float value : rows.subspan(begin, width))
      squares += static_cast<double>(value) * static_cast<double>(value);
    const double scale = squares > 0 ? 1 / std::sqrt(squares) : 0;  // zeros are at right angles to all
    for (const float value : rows.subspan(begin, width))
      values.push_back(static_cast<float>(static_cast<double>(value) * scale));
  }
  labels_.push_back(labels);
  rows_.push_back(std::move(values));
}

AbxScore abx_score(const AbxItems& items, AbxSpeakers speakers, int threads) {
  const std::vector<Group> groups = make_groups(items, speakers);
  std::vector<std::vector<Run>> runs;
  for (const Group& group : groups) runs.push_back(runs_of(group, items));
  const std::vector<Job> jobs = jobs_of(groups, runs, items);
  std::vector<std::vector<Cell>> outcomes(jobs.size());
  parallel_for(jobs.size(), threads > 0 ? threads : available_threads(), [&](std::size_t job) {
    const std::size_t group = jobs[job].group;
    outcomes[job] = cells_of(jobs[job], groups[group], runs[group], items, speakers);
  });
  return mean_of(outcomes);
}

}  // namespace retort
