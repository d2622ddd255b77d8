// Products of rows with panels of sixteen columns, and the two lowest of what comes out.
//
// A score is norms[l] + sum_j rows[i][j] * panel[j][l]: with norms |c|^2 and panels of -2 c it is the squared
// distance of a row from centroid c less the row's own |x|^2. Scores stay in registers: what leaves is their
// two lowest. Rows are given by pointers, so that a kernel works on any selection of rows as fast as on
// consecutive ones.
#pragma once

#include <cstdint>

#include "kernels/cpu_path.h"
#include "kernels/panel.h"

namespace retort {

// The score of a panel's padding columns: above any other, and finite, so that it can bear a column's number.
inline constexpr float padding_norm = 3e38f;

// The two lowest scores of a panel. The four lowest bits of each are the number of its column, which changes
// a score by at most 2^-19 of it.
struct PanelMinima {
  float lowest = padding_norm;
  float second = padding_norm;
};

// The column of a score in PanelMinima.
int64_t column_of(float score);

// What PanelMinima's columns add to the relative error of a score.
inline constexpr double column_error = 0x1.0p-19;

// One version of the kernels. `dim` counts values of a row; panels are (dim, 16) f32.
struct ScoreKernels {
  CpuPath path;
  // out[i]: minima of row i against the panel. Each is the same whatever the other rows.
  void (*minima)(const float* const* rows, int64_t count, const float* panel, const float* norms, int64_t dim,
                 PanelMinima* out);
  // The sixteen scores of one row.
  void (*scores)(const float* row, const float* panel, const float* norms, int64_t dim, float* out);
  // The same as `minima` with rows and panels of bf16, or null where the CPU has no such instruction. Rows
  // hold `pairs` pairs of values (the last padded by 0); panels are (pairs, 16, 2). Sums are f32.
  void (*minima_bf16)(const uint16_t* const* rows, int64_t count, const uint16_t* panel, const float* norms,
                      int64_t pairs, PanelMinima* out);
  // centred[j] = row[j] - mean[j]; the sum of its squares.
  float (*centre)(const float* row, const float* mean, int64_t dim, float* centred);
  // Rounds to bf16 (nearest, ties to even); the sum of the squares of what that changes.
  float (*round_bf16)(const float* values, int64_t dim, uint16_t* rounded);
  float (*dot)(const float* a, const float* b, int64_t dim);
};

// The version for `path`, which the CPU must have.
const ScoreKernels& score_kernels(CpuPath path);

}  // namespace retort
