// A spoken query in a longer recording: subsequence dynamic time warping.
#pragma once

#include "base/matrix.h"

namespace retort {

// exp(1 - cosine) - 1 of each frame of the query to each of the document, (query frames, document frames).
// With `spread`, each row is mapped to [0, 1] by its least and greatest value. A frame of zeros has a cosine
// of 0 to everything. (s3prl's quesst14_dtw: cosine_exp and minmax_norm.)
Matrix query_distances(const Matrix& query, const Matrix& document, bool spread);

// The least mean distance of the query's frames to a stretch of the document: each frame of the query moves
// the document on by 0, 1 or 2 frames, beginning and end are free (the "asymmetric" step pattern of Sakoe and
// Chiba 1978 with slope 0, as dtw-python names it). An Error where either has no frames.
double subsequence_cost(const Matrix& distances);

}  // namespace retort
