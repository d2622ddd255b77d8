#include "base/disk.h"

#include <fmt/format.h>
#include <sys/statvfs.h>

#include <charconv>
#include <cmath>
#include <string>

#include "base/error.h"

namespace retort {
namespace {

constexpr int64_t bytes_between_looks = int64_t{4} << 20;

}  // namespace

int64_t free_disk_bytes(const std::filesystem::path& folder) {
  std::filesystem::path there = std::filesystem::absolute(folder);
  while (!std::filesystem::exists(there) && there.has_relative_path()) there = there.parent_path();
  struct statvfs status {};
  if (::statvfs(there.c_str(), &status) != 0) return INT64_MAX;  // some file systems do not say
  return static_cast<int64_t>(status.f_bavail) * static_cast<int64_t>(status.f_frsize);
}

int64_t parse_bytes(const std::string& option, const std::string& text) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  const std::string unit(rest, end);
  const std::string units = "KMGT";
  const std::size_t power = unit.empty() ? 0 : units.find(unit) + 1;
  if (error != std::errc() || (!unit.empty() && (unit.size() != 1 || power == 0)) || !(value >= 0) ||
      value * std::pow(1024.0, static_cast<double>(power)) > 1e18)
    fail_usage("{} {}: should be a size such as 8G or 500M; 0: no limit", option, text);
  return static_cast<int64_t>(value * std::pow(1024.0, static_cast<double>(power)));
}

std::string in_gibibytes(int64_t bytes) {
  return fmt::format("{:.3g} GiB", static_cast<double>(bytes) / static_cast<double>(int64_t{1} << 30));
}

void DiskBudget::require(int64_t bytes) const {
  const int64_t free = free_disk_bytes(folder_);
  if (bytes <= free - keep_free_) return;
  const std::string kept =
      keep_free_ > 0 ? fmt::format(" less the {} of --keep-free", in_gibibytes(keep_free_)) : "";
  fail("{}: {} are to be written, and {}{} are free there; make room, or divide the job into --shard I/N",
       folder_.string(), in_gibibytes(bytes), in_gibibytes(free), kept);
}

void DiskBudget::spend(int64_t bytes) {
  if (keep_free_ == 0) return;
  unseen_ += bytes;
  if (unseen_ < bytes_between_looks) return;
  unseen_ = 0;
  if (const int64_t free = free_disk_bytes(folder_); free < keep_free_)
    fail("{}: only {} are free there now, --keep-free {} is to stay; make room and run the job again",
         folder_.string(), in_gibibytes(free), in_gibibytes(keep_free_));
}

}  // namespace retort
