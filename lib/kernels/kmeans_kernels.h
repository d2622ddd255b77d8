// The kernels of a k-means pass on a GPU: what each thread does. kmeans_cuda.cu launches them; the tests run
// them on the CPU (simt_emulation.h).
//
// A pass over a slice of frames is: score_tiles() finds by bf16 tensor cores the nearest centroid of every
// frame and whether its lead is beyond all doubt; score_tiles() again, over the doubtful frames alone, marks
// the centroids that may be nearest; settle() decides among those in f64, which is what defines a label
// (kmeans/kmeans.h). Then the frames whose label changed are sorted by cluster and added to, or taken from,
// sums that do not round (exact_parts.h), so that no order of threads shows in them: they are those of the
// CPU to the last bit, without a float that two threads add to.
//
// Scores are |c|^2 - 2 x.c of frames and centroids less a fixed reference amid the frames, in bf16 with f32
// sums; their error is bounded as the native engine's are (nearest/native_search.h). No score leaves the
// registers: a frame is read once, however many centroids there are.
#pragma once

#include <cmath>

#include "kernels/exact_parts.h"
#include "kernels/simt.h"

namespace retort::kmeans_kernels {

// Dimensions and clusters are padded to these: a step of the tensor cores' loop, and the widest tile.
inline constexpr int depth_step = 32;
inline constexpr int most_tile_columns = 256;

// The score of padding, above any other.
inline constexpr float no_score = 3e38f;

// Relative error of a score, as f32_error_factor() is of the CPU's. Tensor cores align the 16 products and
// the sum of each instruction to the largest of them and cut off what falls below 24 bits (Fasi, Higham,
// Mikaitis and Pranesh, "Numerical behavior of NVIDIA tensor cores", 2021): 18 times 2^-23 per instruction.
inline double tensor_error_factor(int64_t padded_dim) {
  const int64_t instructions = padded_dim / 16;
  return static_cast<double>(instructions * 18 + 8) * 0x1.0p-23;
}

// Squared lengths outside of this may overflow, or lose what is too small for a float: scores say nothing.
inline constexpr double largest_square = 1e37;
inline constexpr double smallest_square = 1e-25;

// ---- Rows in the form that scores need. ----

struct PrepareArgs {
  const float* rows;  // (count, dim), finite
  int64_t count;
  int64_t padded_count;  // rows from `count` on become padding
  int dim;
  int padded_dim;
  const float* reference;  // (dim)
  uint16_t* rounded;       // (padded_count, padded_dim): row - reference, bf16
  float* lengths;          // (padded_count): no smaller than |row - reference|
  float* roundings;        // (padded_count): no smaller than the length of what rounding took away
  // Of frames, else null.
  uint32_t* plans;  // (count): how the row is cut up for sums, see plan_of_row()
  double* squares;  // (count): squared_distance() from the reference (kernels/exact_distance.h)
  // Of centroids, else null.
  float* norms;  // (padded_count): |row - reference|^2
  int* largest;  // the bits of the largest length and rounding; raised
};

inline constexpr int prepare_threads = 256;

template <class T>
RETORT_DEVICE T sum_of_eight_lanes(T value) {
  value += simt::from_lane_across(value, 4);
  value += simt::from_lane_across(value, 1);
  value += simt::from_lane_across(value, 2);
  return value;
}

// squared_distance() of two vectors, by the eight lanes that share lane / 8: the same additions in the same
// order. All lanes of the warp take part and get their eight's result.
RETORT_DEVICE double squared_distance_by_eight(const float* a, const float* b, int dim) {
  const int whole = dim / 8 * 8;
  double sum = 0;
  for (int j = simt::thread_index() % 8; j < whole; j += 8) {
    const double difference = static_cast<double>(a[j]) - static_cast<double>(b[j]);
    sum += difference * difference;
  }
  sum = sum_of_eight_lanes(sum);
  for (int j = whole; j < dim; ++j) {
    const double difference = static_cast<double>(a[j]) - static_cast<double>(b[j]);
    sum += difference * difference;
  }
  return sum;
}

RETORT_DEVICE uint16_t to_bf16(float value) {
  const auto bits = simt::same_bits<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

RETORT_DEVICE float from_bf16(uint16_t value) {
  return simt::same_bits<float>(static_cast<uint32_t>(value) << 16);
}

// A level of a plan: the higher of two bins, counted from the lowest; 0 ends the plan.
RETORT_DEVICE int bin_of_level(uint32_t plan) {
  return static_cast<int>(plan & 15) + lowest_sum_bin;
}

// How a row is cut up, four bits a level: at each, by the largest value that is left of the row.
RETORT_DEVICE uint32_t plan_of_row(const float* row, int dim) {
  uint32_t plan = 0;
  for (int level = 0; level < 8; ++level) {
    int largest = 0;
    for (int j = simt::thread_index() % 8; j < dim; j += 8) {
      float rest = row[j];
      for (uint32_t left = plan; left != 0; left >>= 4) rest = cut_value(rest, bin_of_level(left)).rest;
      const int magnitude = simt::same_bits<int>(rest) & 0x7fffffff;
      largest = magnitude > largest ? magnitude : largest;
    }
    for (int across = 1; across < 8; across *= 2) {
      const int other = simt::from_lane_across(largest, across);
      largest = other > largest ? other : largest;
    }
    int of_warp = largest;  // its four rows go on together
    for (int across = 8; across < simt::warp_size; across *= 2)
      of_warp |= simt::from_lane_across(of_warp, across);
    if (of_warp == 0) break;
    if (largest == 0) continue;
    const int bin = sum_bin_of(simt::same_bits<float>(largest));
    plan |= static_cast<uint32_t>((bin > lowest_sum_bin ? bin : lowest_sum_bin + 1) - lowest_sum_bin)
            << (4 * level);
  }
  return plan;
}

// What comes out is no smaller than the length.
RETORT_DEVICE float length_of(double square) {
  return static_cast<float>(sqrt(square) * (1 + 0x1.0p-20));
}

// Eight lanes to a row.
RETORT_DEVICE void prepare_rows(const PrepareArgs& args) {
  const int lane = simt::thread_index() % 8;
  const int64_t step = int64_t{simt::block_count()} * (simt::thread_count() / 8);
  const int64_t warp_first =
      (int64_t{simt::block_index()} * simt::thread_count() + simt::thread_index()) / simt::warp_size * 4;
  for (int64_t first = warp_first; first < args.padded_count; first += step) {
    const int64_t index = first + simt::thread_index() % simt::warp_size / 8;
    const bool present = index < args.count;
    const bool wanted = index < args.padded_count;
    const float* row = args.rows + (present ? index : 0) * args.dim;
    uint16_t* rounded = args.rounded + index * args.padded_dim;
    double square = 0, lost = 0;
    for (int j = lane; j < args.padded_dim; j += 8) {
      const float value = present && j < args.dim ? row[j] - args.reference[j] : 0;
      const uint16_t near = to_bf16(value);
      const double change = static_cast<double>(value) - static_cast<double>(from_bf16(near));
      square += static_cast<double>(value) * static_cast<double>(value);
      lost += change * change;
      if (wanted) rounded[j] = near;
    }
    square = sum_of_eight_lanes(square);
    lost = sum_of_eight_lanes(lost);
    const uint32_t plan = args.plans ? plan_of_row(row, args.dim) : 0;
    const double from_reference = args.squares ? squared_distance_by_eight(row, args.reference, args.dim) : 0;
    if (lane != 0 || !wanted) continue;
    args.lengths[index] = length_of(square);
    args.roundings[index] = length_of(lost);
    if (args.norms) args.norms[index] = present ? static_cast<float>(square) : no_score;
    if (!present) continue;
    if (args.plans) args.plans[index] = plan;
    if (args.squares) args.squares[index] = from_reference;
    if (args.largest) {
      // Floats that are not negative are in the order of their bits.
      simt::raise_to(args.largest, simt::same_bits<int>(length_of(square)));
      simt::raise_to(args.largest + 1, simt::same_bits<int>(length_of(lost)));
    }
  }
}

// ---- Scores. ----

struct ScoreArgs {
  const uint16_t* rows;     // (frames, padded_dim) bf16, and their lengths and roundings
  const float* lengths;     // (frames)
  const float* roundings;   // (frames)
  int64_t count;            // of frames
  const uint16_t* weights;  // (padded_clusters, padded_dim): centroids in bf16
  const float* norms;       // (padded_clusters)
  const int* largest;       // as PrepareArgs has them
  int clusters;
  int padded_clusters;
  int padded_dim;
  double error_factor;
  int32_t* labels;  // (frames)
  // What is in doubt: the first pass over a slice leaves it, the second one takes it.
  int32_t* doubtful;    // (frames): which
  float* limits;        // (frames), by place in `doubtful`: no centroid with a higher score is nearest
  int* doubtful_count;  // 0 before
  uint32_t* masks;      // (frames, padded_clusters / 32), by place in `doubtful`: a bit for each centroid
};

enum class Scoring {
  label,      // all frames: labels, and what is in doubt
  candidates  // of what is in doubt: the centroids that may be nearest
};

// A block scores 128 frames against tiles of 128 or 256 centroids, eight warps in two rows of four.
template <int columns_>
struct ScoreTile {
  static constexpr int rows = 128;
  static constexpr int columns = columns_;
  static constexpr int threads = 256;
  static constexpr int stages = 4;
  static constexpr int warp_rows = 64;
  static constexpr int warp_columns = columns / 4;
  static constexpr int row_fragments = warp_rows / 16;       // 16 x 16 each
  static constexpr int column_fragments = warp_columns / 8;  // 16 x 8 each
  static constexpr int line_bytes = 2 * depth_step;
  static constexpr int stage_bytes = (rows + columns) * line_bytes;
  static constexpr int shared_bytes = stages * stage_bytes;
  static constexpr int copied_at_once = threads / 4;  // lines, of four times 16 bytes
};

// Where the 16 bytes number `chunk` of a line lie: moved about so that eight lines' same chunks are in
// different banks.
RETORT_DEVICE int place_in_stage(int line, int chunk) {
  return line * 2 * depth_step + (chunk ^ (line >> 1 & 3)) * 16;
}

// The lowest and the second lowest score of a frame.
struct LowestTwo {
  float lowest = no_score;
  float second = no_score;
  int32_t label = 0;

  RETORT_DEVICE void offer(float score, int32_t column) {
    second = fminf(second, fmaxf(lowest, score));
    label = score < lowest ? column : label;
    lowest = fminf(lowest, score);
  }
  // Of equal scores the lower column's comes first, whichever side it is on.
  RETORT_DEVICE void merge(const LowestTwo& other) {
    const bool theirs = other.lowest < lowest || (other.lowest == lowest && other.label < label);
    second = fminf(fminf(second, other.second), fmaxf(lowest, other.lowest));
    label = theirs ? other.label : label;
    lowest = fminf(lowest, other.lowest);
  }
  RETORT_DEVICE void merge_across(int difference) {
    merge({simt::from_lane_across(lowest, difference), simt::from_lane_across(second, difference),
           simt::from_lane_across(label, difference)});
  }
};

// No score of a centroid that may be nearest to the frame is above this, where `lowest` is the lowest of its
// scores; infinite where scores say nothing. Rounding moves a score by the lengths of what it took from the
// frame and from the centroid (Cauchy-Schwarz).
RETORT_DEVICE float limit_of(float lowest, float length, float rounding, const int* largest,
                             double error_factor) {
  const auto frame = static_cast<double>(length);
  const auto lost = static_cast<double>(rounding);
  const auto norm = static_cast<double>(simt::same_bits<float>(largest[0]));
  const auto lost_by_centroid = static_cast<double>(simt::same_bits<float>(largest[1]));
  const double reach = frame + norm;
  const double square = reach * reach;
  if (!(square > smallest_square && square < largest_square)) return INFINITY;
  const double error =
      error_factor * square + 2 * (1 + 0x1.0p-20) * (lost * norm + (frame + lost) * lost_by_centroid);
  const double limit = static_cast<double>(lowest) + 2 * error;
  return static_cast<float>(limit + fabs(limit) * 0x1.0p-22);
}

// The sums of a warp's part of a tile, as multiply_add() spreads them over its lanes.
template <class Tile>
using TileSums = float[Tile::row_fragments][Tile::column_fragments][4];

// A warp's rows among the block's: row fragment `m`, upper or lower `half` of it.
RETORT_DEVICE int row_in_warp(int m, int half) {
  return m * 16 + half * 8 + simt::thread_index() % simt::warp_size / 4;
}

template <class Tile>
RETORT_DEVICE int warp_row() {
  return simt::thread_index() / simt::warp_size / 4 * Tile::warp_rows;
}

template <class Tile>
RETORT_DEVICE int warp_column() {
  return simt::thread_index() / simt::warp_size % 4 * Tile::warp_columns;
}

// Adds the products over the 32 dimensions of a stage.
template <class Tile>
RETORT_DEVICE void multiply_stage(const char* stage, TileSums<Tile>& sums) {
  const int lane = simt::thread_index() % simt::warp_size;
  const char* weights = stage + Tile::rows * Tile::line_bytes;
  RETORT_UNROLL
  for (int k = 0; k < depth_step / 16; ++k) {
    uint32_t a[Tile::row_fragments][4];
    RETORT_UNROLL
    for (int m = 0; m < Tile::row_fragments; ++m)
      simt::load_matrices(stage + place_in_stage(warp_row<Tile>() + m * 16 + lane % 16, 2 * k + lane / 16),
                          a[m]);
    RETORT_UNROLL
    for (int n = 0; n < Tile::column_fragments; n += 2) {
      uint32_t b[4];
      const int line = warp_column<Tile>() + n * 8 + lane / 16 * 8 + lane % 8;
      simt::load_matrices(weights + place_in_stage(line, 2 * k + lane / 8 % 2), b);
      RETORT_UNROLL
      for (int m = 0; m < Tile::row_fragments; ++m) {
        simt::multiply_add(sums[m][n], a[m], b[0], b[1]);
        simt::multiply_add(sums[m][n + 1], a[m], b[2], b[3]);
      }
    }
  }
}

// The centroid that sums[...][n][i] belong to, less the first of the warp's columns.
RETORT_DEVICE int column_in_warp(int n, int i) {
  return n * 8 + simt::thread_index() % 4 * 2 + i;
}

// Folds a tile's scores into the two lowest of each row. Of the eight rows that four neighbouring lanes
// share, each keeps two.
template <class Tile>
RETORT_DEVICE void fold_scores(const TileSums<Tile>& sums, const float* norms, int first_column,
                               LowestTwo (&kept)[2]) {
  RETORT_UNROLL
  for (int m = 0; m < Tile::row_fragments; ++m) {
    RETORT_UNROLL
    for (int half = 0; half < 2; ++half) {
      LowestTwo two;
      RETORT_UNROLL
      for (int n = 0; n < Tile::column_fragments; ++n) {
        RETORT_UNROLL
        for (int i = 0; i < 2; ++i) {
          const int column = first_column + column_in_warp(n, i);
          two.offer(fmaf(-2, sums[m][n][2 * half + i], norms[column]), column);
        }
      }
      two.merge_across(1);
      two.merge_across(2);
      if (simt::thread_index() % 4 == m) kept[half].merge(two);
    }
  }
}

// Marks the centroids whose scores are within the limits of their rows; each word of a mask has one writer.
template <class Tile>
RETORT_DEVICE void mark_candidates(const TileSums<Tile>& sums, const ScoreArgs& args, int64_t first_row,
                                   int64_t count, int first_column) {
  constexpr int words = Tile::warp_columns / 32;
  RETORT_UNROLL
  for (int m = 0; m < Tile::row_fragments; ++m) {
    RETORT_UNROLL
    for (int half = 0; half < 2; ++half) {
      const int64_t row = first_row + row_in_warp(m, half);
      const float limit = row < count ? args.limits[row] : 0;
      uint32_t marks[words] = {};
      RETORT_UNROLL
      for (int n = 0; n < Tile::column_fragments; ++n) {
        RETORT_UNROLL
        for (int i = 0; i < 2; ++i) {
          const int column = column_in_warp(n, i);
          const float score = fmaf(-2, sums[m][n][2 * half + i], args.norms[first_column + column]);
          // A score that is not a number rules nothing out.
          if (!(score > limit)) marks[n / 4] |= uint32_t{1} << (column % 32);
        }
      }
      RETORT_UNROLL
      for (int word = 0; word < words; ++word) {
        marks[word] |= simt::from_lane_across(marks[word], 1);
        marks[word] |= simt::from_lane_across(marks[word], 2);
        if (row < count && simt::thread_index() % 4 == 0)
          args.masks[row * (args.padded_clusters / 32) + first_column / 32 + word] = marks[word];
      }
    }
  }
}

// The labels of the block's rows from what its warps kept, by way of shared memory.
template <class Tile>
RETORT_DEVICE void decide_labels(const LowestTwo (&kept)[2], const ScoreArgs& args, int64_t first) {
  auto* by_warp = reinterpret_cast<LowestTwo*>(simt::shared_memory());  // (rows, 4)
  const int thread = simt::thread_index();
  simt::sync_threads();
  RETORT_UNROLL
  for (int half = 0; half < 2; ++half)
    by_warp[(warp_row<Tile>() + row_in_warp(thread % 4, half)) * 4 + thread / simt::warp_size % 4] =
        kept[half];
  simt::sync_threads();
  const int64_t row = first + thread;
  if (thread >= Tile::rows || row >= args.count) return;
  LowestTwo two = by_warp[thread * 4];
  for (int warp = 1; warp < 4; ++warp) two.merge(by_warp[thread * 4 + warp]);
  args.labels[row] = two.label;
  const float limit =
      limit_of(two.lowest, args.lengths[row], args.roundings[row], args.largest, args.error_factor);
  if (two.second > limit) return;
  const int place = simt::fetch_add(args.doubtful_count, 1);
  args.doubtful[place] = static_cast<int32_t>(row);
  args.limits[place] = limit;
}

// The lines that a thread brings into shared memory in every step.
template <class Tile>
struct StageLoader {
  const uint16_t* rows[Tile::rows / Tile::copied_at_once];
  bool present[Tile::rows / Tile::copied_at_once];
  const uint16_t* weights;
  int padded_dim;
  int depth_steps;

  RETORT_DEVICE void load(int step, int steps) const {
    if (step < steps) {
      const int line = simt::thread_index() / 4;
      const int chunk = simt::thread_index() % 4;
      const int depth = step % depth_steps * depth_step + chunk * 8;
      char* stage = simt::shared_memory() + step % Tile::stages * Tile::stage_bytes;
      RETORT_UNROLL
      for (int i = 0; i < Tile::rows / Tile::copied_at_once; ++i)
        simt::copy_async(stage + place_in_stage(line + i * Tile::copied_at_once, chunk), rows[i] + depth,
                         present[i]);
      stage += Tile::rows * Tile::line_bytes;
      const int column = step / depth_steps * Tile::columns + line;
      RETORT_UNROLL
      for (int i = 0; i < Tile::columns / Tile::copied_at_once; ++i)
        simt::copy_async(stage + place_in_stage(line + i * Tile::copied_at_once, chunk),
                         weights + int64_t{column + i * Tile::copied_at_once} * padded_dim + depth, true);
    }
    simt::close_copy_group();
  }
};

template <class Tile, Scoring scoring>
RETORT_DEVICE StageLoader<Tile> loader_of(const ScoreArgs& args, int64_t first, int64_t count) {
  StageLoader<Tile> loader{{}, {}, args.weights, args.padded_dim, args.padded_dim / depth_step};
  RETORT_UNROLL
  for (int i = 0; i < Tile::rows / Tile::copied_at_once; ++i) {
    const int64_t place = first + simt::thread_index() / 4 + i * Tile::copied_at_once;
    loader.present[i] = place < count;
    int64_t row = loader.present[i] ? place : 0;
    if (scoring == Scoring::candidates) row = args.doubtful[row];
    loader.rows[i] = args.rows + row * args.padded_dim;
  }
  return loader;
}

// A block to each 128 rows. While a step is multiplied, the next three are on their way; the loop goes on
// from tile to tile of centroids, the rows coming again from the second-level cache.
template <class Tile, Scoring scoring>
RETORT_DEVICE void score_tiles(const ScoreArgs& args) {
  const int64_t first = int64_t{simt::block_index()} * Tile::rows;
  const int64_t count = scoring == Scoring::candidates ? *args.doubtful_count : args.count;
  if (first >= count) return;
  const StageLoader<Tile> loader = loader_of<Tile, scoring>(args, first, count);
  const int steps = (args.clusters + Tile::columns - 1) / Tile::columns * loader.depth_steps;
  for (int step = 0; step < Tile::stages - 1; ++step) loader.load(step, steps);
  TileSums<Tile> sums = {};
  LowestTwo kept[2];
  int depth = 0, first_column = warp_column<Tile>();
  for (int step = 0; step < steps; ++step) {
    simt::wait_for_copies<Tile::stages - 2>();
    simt::sync_threads();
    loader.load(step + Tile::stages - 1, steps);
    multiply_stage<Tile>(simt::shared_memory() + step % Tile::stages * Tile::stage_bytes, sums);
    if (++depth < loader.depth_steps) continue;
    if (scoring == Scoring::label)
      fold_scores<Tile>(sums, args.norms, first_column, kept);
    else
      mark_candidates<Tile>(sums, args, first + warp_row<Tile>(), count, first_column);
    depth = 0;
    first_column += Tile::columns;
    RETORT_UNROLL
    for (int m = 0; m < Tile::row_fragments; ++m) {
      RETORT_UNROLL
      for (int n = 0; n < Tile::column_fragments; ++n) {
        RETORT_UNROLL
        for (int i = 0; i < 4; ++i) sums[m][n][i] = 0;
      }
    }
  }
  if (scoring == Scoring::label) decide_labels<Tile>(kept, args, first);
}

// The tile that wastes less on padding.
inline int tile_columns(int64_t clusters) {
  const auto padded = [&](int64_t columns) { return (clusters + columns - 1) / columns * columns; };
  return padded(128) < padded(256) ? 128 : 256;
}

// ---- What is in doubt. ----

struct SettleArgs {
  const float* rows;       // (frames, dim) as they came
  const float* centroids;  // (clusters, dim) as they came
  int dim;
  int clusters;
  int padded_clusters;
  const int32_t* doubtful;
  const int* doubtful_count;
  const uint32_t* masks;
  int32_t* labels;
};

inline constexpr int settle_threads = 128;

struct ExactLabel {
  double distance;
  int32_t label;

  RETORT_DEVICE void merge(double other_distance, int32_t other) {
    if (other_distance < distance || (other_distance == distance && other < label)) {
      distance = other_distance;
      label = other;
    }
  }
};

// The centroids that a row's mask names, in their order.
class Candidates {
 public:
  RETORT_DEVICE Candidates(const uint32_t* mask, int clusters) : mask_(mask), clusters_(clusters) {}

  // -1 after the last.
  RETORT_DEVICE int next() {
    while (bits_ == 0) {
      if (word_ * 32 >= clusters_) return -1;
      bits_ = mask_[word_++];
    }
    int bit = 0;
    while ((bits_ >> bit & 1) == 0) ++bit;
    bits_ &= bits_ - 1;
    const int candidate = (word_ - 1) * 32 + bit;
    return candidate < clusters_ ? candidate : -1;
  }

 private:
  const uint32_t* mask_;
  int clusters_;
  int word_ = 0;
  uint32_t bits_ = 0;
};

// A warp to a row, eight lanes to a candidate. The row's label is one of its candidates, so they are never
// none.
RETORT_DEVICE void settle(const SettleArgs& args) {
  const int lane = simt::thread_index() % simt::warp_size;
  const int64_t step = int64_t{simt::block_count()} * simt::thread_count() / simt::warp_size;
  int64_t place =
      (int64_t{simt::block_index()} * simt::thread_count() + simt::thread_index()) / simt::warp_size;
  for (; place < *args.doubtful_count; place += step) {
    const int32_t row = args.doubtful[place];
    Candidates candidates(args.masks + place * (args.padded_clusters / 32), args.clusters);
    ExactLabel best{INFINITY, args.clusters};
    for (bool more = true; more;) {
      int mine = -1;
      for (int group = 0; group < 4; ++group) {
        const int candidate = candidates.next();
        if (group == lane / 8) mine = candidate;
        more = candidate >= 0;
      }
      const double distance =
          squared_distance_by_eight(args.rows + int64_t{row} * args.dim,
                                    args.centroids + int64_t{mine < 0 ? 0 : mine} * args.dim, args.dim);
      if (mine >= 0) best.merge(distance, mine);
    }
    for (int across = 8; across < simt::warp_size; across *= 2) {
      const double distance = simt::from_lane_across(best.distance, across);
      best.merge(distance, simt::from_lane_across(best.label, across));
    }
    if (lane == 0) args.labels[row] = best.label;
  }
}

// ---- Sums over what changed. ----

// The frames of a slice that enter or leave clusters, sorted by cluster.
struct MoveArgs {
  int64_t count;          // of frames
  const int32_t* labels;  // (count)
  int32_t* before;        // (count): of the last pass, -1 for none; place_moves() brings it up to date
  const double* squares;  // (count)
  int clusters;
  int* entering;      // (clusters), 0 before and after
  int* leaving;       // (clusters), 0 before and after
  int* begins;        // (clusters + 1): where the moves of each begin
  int* chunk_begins;  // (clusters + 1): the same in chunks of chunk_moves
  int* cursors;       // (clusters)
  int32_t* moves;     // (2 count): twice the frame, and 1 more where it leaves
  int64_t* sizes;     // (clusters)
  int64_t* digits;    // (clusters, sum_digits): sums of squares
  int64_t* changed;   // frames with another label, added up
};

inline constexpr int move_threads = 256;
inline constexpr int segment_shared_bytes = 2 * move_threads * static_cast<int>(sizeof(int));
inline constexpr int chunk_moves = 128;

RETORT_DEVICE void count_moves(const MoveArgs& args) {
  const int64_t step = int64_t{simt::block_count()} * simt::thread_count();
  int64_t i = int64_t{simt::block_index()} * simt::thread_count() + simt::thread_index();
  for (; i < args.count; i += step) {
    if (args.labels[i] == args.before[i]) continue;
    simt::fetch_add(args.entering + args.labels[i], 1);
    if (args.before[i] >= 0) simt::fetch_add(args.leaving + args.before[i], 1);
  }
}

RETORT_DEVICE int chunks_of(int moves) {
  return (moves + chunk_moves - 1) / chunk_moves;
}

// One block of move_threads, each with a run of clusters.
RETORT_DEVICE void find_segments(const MoveArgs& args) {
  const int thread = simt::thread_index();
  const int run = (args.clusters + move_threads - 1) / move_threads;
  const int first = thread * run < args.clusters ? thread * run : args.clusters;
  const int last = first + run < args.clusters ? first + run : args.clusters;
  int moves = 0, chunks = 0;
  int64_t changed = 0;
  for (int k = first; k < last; ++k) {
    moves += args.entering[k] + args.leaving[k];
    chunks += chunks_of(args.entering[k] + args.leaving[k]);
    changed += args.entering[k];
  }
  // What threads before this one have.
  auto* totals = reinterpret_cast<int*>(simt::shared_memory());  // (2, move_threads)
  totals[thread] = moves;
  totals[move_threads + thread] = chunks;
  simt::sync_threads();
  int begin = 0, chunk_begin = 0;
  for (int other = 0; other < thread; ++other) {
    begin += totals[other];
    chunk_begin += totals[move_threads + other];
  }
  for (int k = first; k < last; ++k) {
    const int of_cluster = args.entering[k] + args.leaving[k];
    args.begins[k] = args.cursors[k] = begin;
    args.chunk_begins[k] = chunk_begin;
    args.sizes[k] += args.entering[k] - args.leaving[k];
    args.entering[k] = args.leaving[k] = 0;
    begin += of_cluster;
    chunk_begin += chunks_of(of_cluster);
  }
  if (changed > 0) simt::add_to(args.changed, changed);
  if (thread == move_threads - 1) {
    args.begins[args.clusters] = begin;
    args.chunk_begins[args.clusters] = chunk_begin;
  }
}

// As ExactSum adds a value > 0 (kmeans/exact_sums.h).
RETORT_DEVICE void add_digits(double value, int64_t sign, int64_t* digits) {
  const auto bits = simt::same_bits<uint64_t>(value);
  const int stored = static_cast<int>(bits >> 52 & 0x7ff);
  const uint64_t mantissa = (bits & 0xfffffffffffff) | static_cast<uint64_t>(stored > 0) << 52;
  const int place = stored > 0 ? stored - 1 : 0;  // of the lowest bit, above the smallest double's
  const int shift = place % sum_digit_bits;
  const uint64_t low = mantissa << shift;
  const uint64_t high = shift > 0 ? mantissa >> (64 - shift) : 0;
  int64_t* first = digits + place / sum_digit_bits;
  simt::add_to(first, sign * static_cast<int64_t>(low & 0xffffffff));
  simt::add_to(first + 1, sign * static_cast<int64_t>(low >> 32));
  if (high > 0) simt::add_to(first + 2, sign * static_cast<int64_t>(high));
}

RETORT_DEVICE void place_move(const MoveArgs& args, int64_t frame, int32_t cluster, int leaves) {
  args.moves[simt::fetch_add(args.cursors + cluster, 1)] = static_cast<int32_t>(2 * frame + leaves);
  add_digits(args.squares[frame], leaves ? -1 : 1, args.digits + int64_t{cluster} * sum_digits);
}

RETORT_DEVICE void place_moves(const MoveArgs& args) {
  const int64_t step = int64_t{simt::block_count()} * simt::thread_count();
  int64_t i = int64_t{simt::block_index()} * simt::thread_count() + simt::thread_index();
  for (; i < args.count; i += step) {
    if (args.labels[i] == args.before[i]) continue;
    place_move(args, i, args.labels[i], 0);
    if (args.before[i] >= 0) place_move(args, i, args.before[i], 1);
    args.before[i] = args.labels[i];
  }
}

struct SumArgs {
  const float* rows;      // (frames, dim)
  const uint32_t* plans;  // (frames)
  int dim;
  int clusters;
  const int* begins;  // as MoveArgs
  const int* chunk_begins;
  const int32_t* moves;
  int64_t* bins;  // (clusters, sum_bins, dim): multiples of the bins' units
};

inline constexpr int sum_threads = 128;

// One dimension's sums over a chunk: of the two bins that its rows fall into, as long as these stay the same.
class ChunkSum {
 public:
  RETORT_DEVICE ChunkSum(int64_t* bins, int dim) : bins_(bins), dim_(dim) {}

  RETORT_DEVICE void add(float value, double sign, uint32_t plan) {
    if (plan == 0) return;
    const int bin = bin_of_level(plan);
    if (bin != bin_) move_to(bin);
    ValueParts parts = cut_value(value, bin);
    high_ += sign * parts.high;
    low_ += sign * parts.low;
    for (uint32_t left = plan >> 4; left != 0 && parts.rest != 0; left >>= 4) {
      const int lower = bin_of_level(left);
      parts = cut_value(parts.rest, lower);
      put(lower, sign * parts.high);
      put(lower - 1, sign * parts.low);
    }
  }

  // Puts what was added up into the bins, and starts anew.
  RETORT_DEVICE void move_to(int bin) {
    put(bin_, high_);
    put(bin_ - 1, low_);
    high_ = low_ = 0;
    bin_ = bin;
  }

 private:
  RETORT_DEVICE void put(int bin, double sum) {
    if (sum != 0)
      simt::add_to(bins_ + int64_t{bin - lowest_sum_bin} * dim_,
                   static_cast<int64_t>(sum * power_of_two(-sum_bin_exponent(bin))));
  }

  int64_t* bins_;
  int dim_;
  int bin_ = lowest_sum_bin + 1;
  double high_ = 0;
  double low_ = 0;
};

// The cluster that a chunk belongs to.
RETORT_DEVICE int cluster_of_chunk(const int* chunk_begins, int clusters, int chunk) {
  int low = 0, high = clusters;  // chunk_begins[low] <= chunk < chunk_begins[high]
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    if (chunk_begins[middle] <= chunk)
      low = middle;
    else
      high = middle;
  }
  return low;
}

// A thread to a dimension: a layer of blocks for each sum_threads dimensions.
RETORT_DEVICE void add_moves(const SumArgs& args) {
  constexpr int at_once = 4;  // loads on their way
  const int j = simt::block_layer() * sum_threads + simt::thread_index();
  if (j >= args.dim) return;
  for (int chunk = simt::block_index(); chunk < args.chunk_begins[args.clusters];
       chunk += simt::block_count()) {
    const int cluster = cluster_of_chunk(args.chunk_begins, args.clusters, chunk);
    const int first = args.begins[cluster] + (chunk - args.chunk_begins[cluster]) * chunk_moves;
    const int end = args.begins[cluster + 1];
    const int last = first + chunk_moves < end ? first + chunk_moves : end;
    ChunkSum sum(args.bins + int64_t{cluster} * sum_bins * args.dim + j, args.dim);
    for (int i = first; i < last; i += at_once) {
      float values[at_once];
      uint32_t plans[at_once];
      double signs[at_once];
      RETORT_UNROLL
      for (int next = 0; next < at_once; ++next) {
        const bool present = i + next < last;
        const int32_t move = present ? args.moves[i + next] : 0;
        values[next] = present ? args.rows[int64_t{move / 2} * args.dim + j] : 0;
        plans[next] = present ? args.plans[move / 2] : 0;
        signs[next] = move % 2 ? -1 : 1;
      }
      RETORT_UNROLL
      for (int next = 0; next < at_once; ++next) sum.add(values[next], signs[next], plans[next]);
    }
    sum.move_to(lowest_sum_bin + 1);
  }
}

struct RoundArgs {
  const int64_t* bins;  // (clusters, sum_bins, dim)
  int64_t clusters;
  int dim;
  double* sums;  // (clusters, dim)
};

// As ExactVectorSum::round_to().
RETORT_DEVICE void round_sums(const RoundArgs& args) {
  const int64_t step = int64_t{simt::block_count()} * simt::thread_count();
  int64_t i = int64_t{simt::block_index()} * simt::thread_count() + simt::thread_index();
  for (; i < args.clusters * args.dim; i += step) {
    const int64_t* bins = args.bins + i / args.dim * sum_bins * args.dim + i % args.dim;
    double sum = 0;
    for (int b = sum_bins; b-- > 0;)
      sum += static_cast<double>(bins[int64_t{b} * args.dim]) *
             power_of_two(sum_bin_exponent(b + lowest_sum_bin));
    args.sums[i] = sum;
  }
}

}  // namespace retort::kmeans_kernels
