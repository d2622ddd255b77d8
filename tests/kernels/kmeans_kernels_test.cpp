// GPU kernels of k-means, run thread by thread on the CPU.
#include "kernels/kmeans_kernels.h"

#include <catch2/catch.hpp>
#include <set>
#include <vector>

#include "base/random.h"

using namespace retort;
using namespace retort::kmeans_kernels;

TEST_CASE("eight lines' chunks are in different banks, and none overlap", "[kernels]") {
  for (int first = 0; first < 128; first += 8)
    for (int chunk = 0; chunk < 4; ++chunk) {
      std::set<int> banks;
      for (int line = first; line < first + 8; ++line) banks.insert(place_in_stage(line, chunk) % 128);
      CHECK(banks.size() == 8);
    }
  std::set<int> places;
  for (int line = 0; line < 128; ++line)
    for (int chunk = 0; chunk < 4; ++chunk) places.insert(place_in_stage(line, chunk));
  CHECK(places.size() == 512);
  CHECK(*places.rbegin() == 511 * 16);
}

TEST_CASE("the two lowest of parts are those of the whole", "[kernels]") {
  Random random(1);
  for (int round = 0; round < 200; ++round) {
    std::vector<float> scores;
    for (int i = 0; i < 12; ++i) scores.push_back(static_cast<float>(random.below(6)) - 3);
    LowestTwo whole, parts[3];
    for (int i = 0; i < 12; ++i) {
      whole.offer(scores[static_cast<size_t>(i)], i);
      parts[i % 3].offer(scores[static_cast<size_t>(i)], i);
    }
    parts[2].merge(parts[0]);
    parts[1].merge(parts[2]);
    std::vector<float> sorted = scores;
    std::sort(sorted.begin(), sorted.end());
    for (const LowestTwo& two : {whole, parts[1]}) {
      CHECK(two.lowest == sorted[0]);
      CHECK(two.second == sorted[1]);
      CHECK(two.label == std::min_element(scores.begin(), scores.end()) - scores.begin());
    }
  }
}

namespace {

// A tile's scores by an emulated warp, against sums in f64.
template <int columns>
void check_products(bool last_warp_first) {
  using Tile = ScoreTile<columns>;
  Random random(columns);
  const auto line = [&](std::vector<uint16_t>& values, size_t lines) {
    values.resize(lines * depth_step);
    for (uint16_t& value : values) value = to_bf16(static_cast<float>(random.uniform()) - 0.5f);
  };
  std::vector<uint16_t> rows, weights;
  line(rows, Tile::rows);
  line(weights, Tile::columns);
  std::vector<float> found(static_cast<size_t>(Tile::rows * Tile::columns));
  simt::Launch launch;
  launch.threads = Tile::threads;
  launch.shared_bytes = Tile::stage_bytes;
  launch.last_warp_first = last_warp_first;
  simt::emulate(launch, [&] {
    for (int i = simt::thread_index(); i < (Tile::rows + Tile::columns) * 4; i += Tile::threads) {
      const int at = i / 4, chunk = i % 4;
      const uint16_t* from = at < Tile::rows ? &rows[static_cast<size_t>(at * depth_step)]
                                             : &weights[static_cast<size_t>((at - Tile::rows) * depth_step)];
      char* part = simt::shared_memory() + (at < Tile::rows ? 0 : Tile::rows * Tile::line_bytes);
      simt::copy_async(part + place_in_stage(at < Tile::rows ? at : at - Tile::rows, chunk), from + 8 * chunk,
                       true);
    }
    simt::close_copy_group();
    simt::wait_for_copies<0>();
    simt::sync_threads();
    TileSums<Tile> sums = {};
    multiply_stage<Tile>(simt::shared_memory(), sums);
    for (int m = 0; m < Tile::row_fragments; ++m)
      for (int n = 0; n < Tile::column_fragments; ++n)
        for (int i = 0; i < 4; ++i)
          found[static_cast<size_t>((warp_row<Tile>() + row_in_warp(m, i / 2)) * Tile::columns +
                                    warp_column<Tile>() + column_in_warp(n, i % 2))] = sums[m][n][i];
  });
  for (size_t row = 0; row < Tile::rows; ++row)
    for (size_t column = 0; column < Tile::columns; ++column) {
      double exact = 0;
      for (size_t j = 0; j < depth_step; ++j)
        exact += static_cast<double>(from_bf16(rows[row * depth_step + j])) *
                 static_cast<double>(from_bf16(weights[column * depth_step + j]));
      if (std::abs(static_cast<double>(found[row * Tile::columns + column]) - exact) > 1e-5)
        FAIL_CHECK("row " << row << ", column " << column);
    }
}

}  // namespace

TEST_CASE("tiles multiply rows by centroids", "[kernels]") {
  check_products<128>(false);
  check_products<256>(true);
}

TEST_CASE("the emulation notices threads that wait for each other in vain", "[kernels]") {
  simt::Launch launch;
  launch.threads = 64;
  CHECK_THROWS(simt::emulate(launch, [] {
    if (simt::thread_index() < 32) simt::sync_threads();
  }));
}
