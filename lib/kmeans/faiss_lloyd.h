// FAISS's k-means behind our interface.
#pragma once

#include "kmeans/kmeans.h"

namespace retort {

// As run_lloyd, by faiss::Clustering over a flat L2 index. The frames must fit in memory. FAISS sees every
// frame it is given (its own silent subsampling is off); it splits empty clusters in its own, seeded way.
KmeansResult run_faiss_lloyd(const FrameSource& source, const KmeansOptions& options, Matrix initial);

}  // namespace retort
