#include "store/frame_source.h"

#include <algorithm>

namespace retort {

std::string FrameSource::row_name(int64_t row) const {
  const FramePlace where = place(row);
  return fmt::format("{} frame {}", *where.utterance, where.frame);
}

StoreFrames::StoreFrames(const FrameStore& store, bool frugal) : store_(store), frugal_(frugal) {
  if (store.info().kind != StoreKind::features) fail("the store holds labels, features were expected");
}

void StoreFrames::read_rows(int64_t first, int64_t count, float* out) const {
  // Piece by piece, so that little of a frugal source's files is in memory at a time.
  constexpr int64_t piece = 1024;
  for (int64_t done = 0; done < count; done += piece) {
    const int64_t here = std::min(piece, count - done);
    store_.read_rows(first + done, here, out + done * dim());
    if (frugal_) forget_what_was_read(first + done, here);
  }
  bytes_read_ += count * store_.bytes_per_row();
}

const float* StoreFrames::rows_in_place(int64_t first, int64_t count) const {
  if (frugal_) return nullptr;
  const float* rows = store_.rows_in_place(first, count);
  if (rows) bytes_read_ += count * store_.bytes_per_row();
  return rows;
}

// Reading a row maps pages around it too, as many as the kernel sees fit.
void StoreFrames::forget_what_was_read(int64_t first, int64_t count) const {
  constexpr int64_t around_bytes = int64_t{2} << 20;
  const int64_t around = around_bytes / store_.bytes_per_row() + 1;
  const int64_t begin = std::max<int64_t>(first - around, 0);
  store_.forget_rows(begin, std::min(first + count + around, frames()) - begin);
}

FramePlace StoreFrames::place(int64_t row) const {
  const std::vector<StoredUtterance>& utterances = store_.utterances();
  const auto after =
      std::upper_bound(utterances.begin(), utterances.end(), row,
                       [](int64_t wanted, const StoredUtterance& one) { return wanted < one.start; });
  const StoredUtterance& utterance = *(after - 1);
  return {&utterance.id, row - utterance.start};
}

}  // namespace retort
