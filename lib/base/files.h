// Files that appear whole or not at all, and plain reading.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace retort {

// Writes PATH through PATH.tmp. commit() flushes, fsyncs, renames and fsyncs the folder; without it the
// destructor removes the temporary. The temporary is locked while it is written: a second writer of the same
// path gets an Error, and one left behind by a killed process is simply taken over.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* data, std::size_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  // Overwrites bytes already written, for headers that are known only at the end.
  void write_at(std::uint64_t offset, std::string_view text);
  std::uint64_t bytes_written() const { return written_; }
  void commit();

 private:
  void flush();
  void append_fully(const char* data, std::size_t bytes);
  void write_fully(const char* data, std::size_t bytes, std::uint64_t offset);

  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int fd_ = -1;
  std::uint64_t written_ = 0;
  std::uint64_t flushed_ = 0;
  std::uint64_t under_way_ = 0;  // of what was flushed, what is on its way to the disk
  std::string buffer_;
};

// The bytes of a whole file.
std::string read_file(const std::filesystem::path& path);

// Its lines without their ends; a final empty line is not counted.
std::vector<std::string> read_lines(const std::filesystem::path& path);

// Makes a folder and its parents, with a one-line Error where that fails.
void make_folder(const std::filesystem::path& path);

// Refuses an output that exists, unless it may be overwritten.
void refuse_existing(const std::filesystem::path& path, bool overwrite);

// A file's bytes, mapped read-only.
class MappedFile {
 public:
  MappedFile() = default;
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  const std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }
  // Gives back the memory that whole pages of this part of the file take; they can be read again.
  void forget(const std::byte* begin, std::size_t bytes) const;

 private:
  void unmap();

  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

// A folder that is removed with its contents, for tests and scratch data.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace retort
