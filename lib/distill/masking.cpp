#include "distill/masking.h"

#include <algorithm>

#include "base/error.h"

namespace retort {
namespace {

// Masked frames of one utterance, in rising order.
std::vector<int64_t> masked_frames(int64_t frames, const MaskingOptions& options, Random& random) {
  const double expected = options.probability * static_cast<double>(frames) / options.length;
  const int64_t spans =
      std::max<int64_t>(options.min_spans, static_cast<int64_t>(expected + random.uniform()));
  // A span begins where all of it fits; where too few such places are left, later ones are cut by the end.
  int64_t shortest = options.length;
  if (frames - shortest <= spans) shortest = frames - spans - 1;
  if (frames - shortest < spans || shortest < 1)
    fail("an utterance of {} frames is too short for {} masked spans; raise batch.min_seconds", frames,
         spans);
  std::vector<uint8_t> masked(static_cast<std::size_t>(frames), 0);
  for (const int64_t begin : random.choose(frames - shortest, spans))
    std::fill(masked.begin() + begin, masked.begin() + std::min<int64_t>(begin + options.length, frames), 1);
  std::vector<int64_t> indices;
  for (int64_t frame = 0; frame < frames; ++frame)
    if (masked[static_cast<std::size_t>(frame)]) indices.push_back(frame);
  if (static_cast<int64_t>(indices.size()) == frames)
    fail("all {} frames of an utterance were masked; raise batch.min_seconds", frames);
  return indices;
}

}  // namespace

std::vector<std::vector<uint8_t>> span_masks(const std::vector<int64_t>& frames,
                                             const MaskingOptions& options, Random& random) {
  std::vector<std::vector<int64_t>> chosen;
  for (const int64_t count : frames) chosen.push_back(masked_frames(count, options, random));
  std::size_t fewest = SIZE_MAX;
  for (const auto& row : chosen) fewest = std::min(fewest, row.size());

  const auto width = static_cast<std::size_t>(*std::max_element(frames.begin(), frames.end()));
  std::vector<std::vector<uint8_t>> masks;
  for (auto& row : chosen) {
    random.shuffle(row);
    std::vector<uint8_t> mask(width, 0);
    for (std::size_t i = 0; i < fewest; ++i) mask[static_cast<std::size_t>(row[i])] = 1;
    masks.push_back(std::move(mask));
  }
  return masks;
}

}  // namespace retort
