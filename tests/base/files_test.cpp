#include "base/files.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <fstream>

#include "base/atomic_folder.h"
#include "base/error.h"

using namespace retort;
namespace fs = std::filesystem;

namespace {

void put(const fs::path& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

std::size_t entries(const fs::path& folder) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

}  // namespace

TEST_CASE("a file appears at commit, whole, and its temporary is gone") {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "deep" / "er" / "file";
  AtomicFile file(path);
  file.write("hello ");
  file.write("world");
  CHECK_FALSE(fs::exists(path));
  file.commit();
  CHECK(read_file(path) == "hello world");
  CHECK(file.bytes_written() == 11);
  CHECK(entries(path.parent_path()) == 1);
}

TEST_CASE("without commit the old file stays and the temporary goes") {
  const TemporaryFolder folder;
  put(folder.path() / "file", "old");
  { AtomicFile(folder.path() / "file").write("new"); }
  CHECK(read_file(folder.path() / "file") == "old");
  CHECK(entries(folder.path()) == 1);
}

TEST_CASE("large writes around the buffer's size keep their order") {
  const TemporaryFolder folder;
  std::string expected;
  AtomicFile file(folder.path() / "file");
  for (const std::size_t bytes : {std::size_t{3}, (std::size_t{1} << 20) - 1, std::size_t{5},
                                  std::size_t{3} << 20, std::size_t{1} << 20, std::size_t{1}}) {
    const std::string piece(bytes, static_cast<char>('a' + expected.size() % 23));
    expected += piece;
    file.write(piece);
    REQUIRE(file.bytes_written() == expected.size());
  }
  file.commit();
  CHECK(read_file(folder.path() / "file") == expected);
}

TEST_CASE("write_at changes bytes written before and moves no later ones") {
  const TemporaryFolder folder;
  AtomicFile file(folder.path() / "file");
  file.write("0000 first ");
  file.write_at(0, "1234");
  file.write("second");
  file.write_at(2, "xx");
  file.commit();
  CHECK(read_file(folder.path() / "file") == "12xx first second");
}

TEST_CASE("a second writer of the same file is refused while the first one writes") {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "file";
  AtomicFile first(path);
  first.write("first");
  CHECK_THROWS_WITH(AtomicFile(path), Catch::Contains("another process is writing it"));
  first.commit();
  CHECK(read_file(path) == "first");
  AtomicFile second(path);
  second.write("second");
  second.commit();
  CHECK(read_file(path) == "second");
}

TEST_CASE("what a killed process left behind is taken over") {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "file";
  put(folder.path() / "file.tmp", "a longer text that a killed process left");
  AtomicFile file(path);
  file.write("short");
  file.commit();
  CHECK(read_file(path) == "short");
  CHECK(entries(folder.path()) == 1);
}

TEST_CASE("many processes writing the same file leave one whole file") {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "file";
  std::vector<pid_t> children;
  for (char name = 'a'; name <= 'h'; ++name) {
    const pid_t child = ::fork();
    if (child == 0) {
      for (int round = 0; round < 100; ++round) {
        try {
          AtomicFile file(path);
          file.write(std::string(5000, name));
          file.commit();
        } catch (const Error& error) {
          if (std::string(error.what()).find("another process") == std::string::npos) ::_exit(1);
        }
      }
      ::_exit(0);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = -1;
    ::waitpid(child, &status, 0);
    CHECK(status == 0);
  }
  const std::string text = read_file(path);
  CHECK(text == std::string(5000, text.at(0)));
  CHECK(entries(folder.path()) == 1);
}

TEST_CASE("a write that the system refuses is an Error and leaves nothing") {
  const TemporaryFolder folder;
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{4096, 4096};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    try {
      AtomicFile file(folder.path() / "file");
      file.write(std::string(10000, 'x'));
      file.commit();
      ::_exit(1);
    } catch (const Error& error) {
      ::_exit(std::string(error.what()).find("writing failed") == std::string::npos ? 2 : 0);
    }
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  CHECK(status == 0);
  CHECK(entries(folder.path()) == 0);
}

TEST_CASE("a file cannot replace a folder or lie below a file") {
  const TemporaryFolder folder;
  put(folder.path() / "file", "");
  CHECK_THROWS_WITH(AtomicFile(folder.path()), Catch::Contains("is a folder"));
  CHECK_THROWS_WITH(AtomicFile(folder.path() / "file" / "below"),
                    Catch::Contains("the folder cannot be made"));
}

TEST_CASE("lines end with \\n or \\r\\n, the last one perhaps with neither") {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "lines";
  const auto lines_of = [&](std::string_view text) {
    put(path, text);
    return read_lines(path);
  };
  using Lines = std::vector<std::string>;
  CHECK(lines_of("").empty());
  CHECK(lines_of("a\nb\n") == Lines{"a", "b"});
  CHECK(lines_of("a\r\n\r\nb") == Lines{"a", "", "b"});
  CHECK(lines_of("\n\n") == Lines{"", ""});
  CHECK(lines_of("a\rb\n") == Lines{"a\rb"});
}

TEST_CASE("reading names what is wrong with the path") {
  const TemporaryFolder folder;
  CHECK_THROWS_WITH(read_file(folder.path() / "none"), Catch::Contains("no such file"));
  CHECK_THROWS_WITH(read_file(folder.path()), Catch::Contains("is a folder"));
  CHECK_THROWS_WITH(MappedFile(folder.path() / "none"), Catch::Contains("cannot be opened"));
  CHECK_THROWS_WITH(MappedFile(folder.path()), Catch::Contains("is not a file"));
}

TEST_CASE("a mapped file shows the file's bytes and can be moved") {
  const TemporaryFolder folder;
  put(folder.path() / "file", "mapped");
  put(folder.path() / "empty", "");
  MappedFile file(folder.path() / "file");
  MappedFile other(folder.path() / "empty");
  CHECK(other.size() == 0);
  other = std::move(file);
  REQUIRE(other.size() == 6);
  CHECK(std::string_view(reinterpret_cast<const char*>(other.data()), other.size()) == "mapped");
}

TEST_CASE("an output that exists is refused unless it may be overwritten") {
  const TemporaryFolder folder;
  CHECK_NOTHROW(refuse_existing(folder.path() / "none", false));
  CHECK_NOTHROW(refuse_existing(folder.path(), true));
  CHECK_THROWS_WITH(refuse_existing(folder.path(), false), Catch::Contains("--overwrite"));
}

TEST_CASE("a folder appears whole, and a second writer is refused") {
  const TemporaryFolder scratch;
  const std::filesystem::path place = scratch.path() / "out";
  std::filesystem::create_directories(scratch.path() / "out.tmp/left");  // by one that was killed
  {
    AtomicFolder first(place / "");
    CHECK(std::filesystem::is_empty(first.temporary()));
    CHECK_THROWS_WITH(AtomicFolder(place), Catch::Contains("another process is writing it"));
    CHECK_FALSE(std::filesystem::exists(place));
    std::ofstream(first.temporary() / "file") << "1";
    first.commit();
  }
  CHECK(read_file(place / "file") == "1");
  { const AtomicFolder second(place); }
  CHECK(read_file(place / "file") == "1");
  CHECK_FALSE(std::filesystem::exists(scratch.path() / "out.tmp"));
}
