#include "base/hash.h"

#include <catch2/catch.hpp>

#include "base/error.h"
#include "base/files.h"

using namespace retort;

// Goldens: printf retort | xxhsum -H2 (xxhash 0.8.1); the empty input and 100000 times "a" likewise.
TEST_CASE("hashes are XXH3's 128 bits as the reference writes them") {
  CHECK(hash_text("") == "99aa06d3014798d86001c324468d497f");
  CHECK(hash_text("retort") == "1b6cd010308500d8e093c6d2080aa7f2");
  CHECK(hash_text(std::string(100000, 'a')) == "819d5302938c790308f809ef04c54838");
}

TEST_CASE("a hash does not depend on how the bytes were cut") {
  std::string text(3000, ' ');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 7919 >> 3);
  for (const std::size_t cut : {0, 1, 63, 64, 256, 1024, 2999, 3000}) {
    CAPTURE(cut);
    CHECK(Hasher().add(text.substr(0, cut)).add(text.substr(cut)).hex() == hash_text(text));
  }
}

TEST_CASE("every byte and its place count") {
  CHECK(hash_text("ab") != hash_text("ba"));
  CHECK(hash_text(std::string("a\0", 2)) != hash_text("a"));
}

TEST_CASE("a file's hash is that of its bytes") {
  const TemporaryFolder folder;
  const std::string text(3'000'001, 'x');
  AtomicFile file(folder.path() / "file");
  file.write(text);
  file.commit();
  CHECK(hash_file(folder.path() / "file") == hash_text(text));
  CHECK_THROWS_WITH(hash_file(folder.path() / "none"), Catch::Contains("none: cannot be opened"));
}
