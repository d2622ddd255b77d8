// Room on the disk: refusing work that does not fit, and stopping before nothing is left for others.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace retort {

// Bytes that this process may still write below `folder`, which need not be there yet.
int64_t free_disk_bytes(const std::filesystem::path& folder);

// "8G", "500M", "64K" or a number of bytes; a usage Error, which begins with the option's name, for anything
// else.
int64_t parse_bytes(const std::string& option, const std::string& text);

// "5.2 GiB", for messages.
std::string in_gibibytes(int64_t bytes);

// What a job may take of a file system: all but `keep_free` bytes.
class DiskBudget {
 public:
  DiskBudget(std::filesystem::path folder, int64_t keep_free)
      : folder_(std::move(folder)), keep_free_(keep_free) {}

  // An Error where `bytes` more do not fit.
  void require(int64_t bytes) const;
  // To be called after every so many bytes written: looks at the disk again from time to time, and throws an
  // Error where less than keep_free is left. Does nothing where keep_free is 0: a full disk is an Error of
  // its own.
  void spend(int64_t bytes);

 private:
  std::filesystem::path folder_;
  int64_t keep_free_;
  int64_t unseen_ = 0;  // written since the last look
};

}  // namespace retort
