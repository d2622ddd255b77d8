// A folder that appears whole or not at all.
#pragma once

#include <filesystem>

namespace retort {

// Made as PATH.tmp, which is locked meanwhile: a second writer of the same path gets an Error, and what a
// killed one left is cleared away. commit() puts it in the place of what is at PATH; without it the
// destructor removes it.
class AtomicFolder {
 public:
  explicit AtomicFolder(const std::filesystem::path& path);
  ~AtomicFolder();
  AtomicFolder(const AtomicFolder&) = delete;
  AtomicFolder& operator=(const AtomicFolder&) = delete;

  // Where its files are to be written.
  const std::filesystem::path& temporary() const { return temporary_; }
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int fd_ = -1;
};

}  // namespace retort
