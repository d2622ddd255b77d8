#include "store/npy_pair.h"

#include <fmt/format.h>

#include "store/npy.h"

namespace retort {
namespace {

std::filesystem::path lengths_of(std::filesystem::path npy) {
  return npy.replace_extension(".len");
}

// Before anything is opened, so that neither file is touched where the other one exists.
const std::filesystem::path& allowed(const std::filesystem::path& npy, bool overwrite) {
  refuse_existing(npy, overwrite);
  refuse_existing(lengths_of(npy), overwrite);
  return npy;
}

}  // namespace

NpyPairWriter::NpyPairWriter(const std::filesystem::path& npy, int64_t dim, bool overwrite)
    : dim_(dim), array_(allowed(npy, overwrite)), lengths_(lengths_of(npy)) {
  array_.write(header());
}

std::string NpyPairWriter::header() const {
  return dim_ > 0 ? npy_header("<f4", {frames_, dim_}) : npy_header("<i4", {frames_});
}

void NpyPairWriter::add(const Matrix& frames) {
  add(frames.data(), frames.values().size_bytes(), frames.rows());
}

void NpyPairWriter::add(std::span<const int32_t> labels) {
  add(labels.data(), labels.size_bytes(), static_cast<int64_t>(labels.size()));
}

void NpyPairWriter::add(const void* values, std::size_t bytes, int64_t frames) {
  array_.write(values, bytes);
  lengths_.write(fmt::format("{}\n", frames));
  frames_ += frames;
}

void NpyPairWriter::commit() {
  array_.write_at(0, header());
  lengths_.commit();
  array_.commit();
}

}  // namespace retort
