// How the values of a store's frames lie in its .npy files, by dtype (docs/formats.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/matrix.h"
#include "store/frame_store.h"

namespace retort {

// NumPy's name of the type that the store's values have in its .npy files.
std::string part_descr(const StoreInfo& info);

// Bytes of a frame of features.
int64_t frame_bytes(const StoreInfo& info);

// Values of that type per frame. Frames of i8 end in four bytes more: the f32 by which the others are
// multiplied; frames of pq have a byte for each subspace.
int64_t part_columns(const StoreInfo& info);

// The bytes of an utterance's frames. What the dtype cannot hold is an Error that names the utterance.
std::vector<std::byte> encode_frames(const StoreInfo& info, const std::string& id, const Matrix& frames);

// `frames` frames as f32 into `out` (frames * dim values); labels too.
void decode_frames(const StoreInfo& info, const std::byte* bytes, int64_t frames, float* out);

}  // namespace retort
