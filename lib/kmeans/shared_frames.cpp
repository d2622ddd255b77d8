#include "kmeans/shared_frames.h"

#include <string>

#include "base/bytes.h"
#include "base/error.h"

namespace retort {
namespace {

const Processes& alone() {
  static const Processes one;
  return one;
}

}  // namespace

SharedFrames::SharedFrames(const FrameSource& source) : all(source), own(source), processes(alone()) {}

FrameRange own_range(int64_t frames, const Processes& processes) {
  if (frames < processes.count())
    fail("{} frames are too few for {} processes; start fewer", frames, processes.count());
  const int64_t first = frames * processes.rank() / processes.count();
  return {first, frames * (processes.rank() + 1) / processes.count() - first};
}

std::vector<int64_t> joined(const Processes& processes, const std::vector<int64_t>& own) {
  if (processes.alone()) return own;
  std::string bytes;
  append_values(own, bytes);
  std::vector<int64_t> all;
  for (const std::string& of_process : processes.exchange(bytes)) {
    std::vector<int64_t> values(of_process.size() / sizeof(int64_t));
    std::string_view rest = of_process;
    take_values(rest, "another process", values);
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

}  // namespace retort
