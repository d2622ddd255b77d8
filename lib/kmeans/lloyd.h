// Lloyd's iterations over any source of frames, with exact labels (kmeans.h).
#pragma once

#include "kmeans/kmeans.h"

namespace retort {

// Improves `initial` (K, dim). `options.engine` is resolved, `options.threads` positive.
KmeansResult run_lloyd(const FrameSource& source, const KmeansOptions& options, Matrix initial);

// Sizes and inertia of given centroids over the source; centroids that no frame is nearest to are moved to
// frames far from theirs, which counts as splits.
void assign_finally(const FrameSource& source, const KmeansOptions& options, KmeansResult& result);

}  // namespace retort
