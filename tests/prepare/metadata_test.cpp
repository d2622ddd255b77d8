#include "prepare/metadata.h"

#include <catch2/catch.hpp>
#include <fstream>

#include "base/files.h"

using namespace retort;

TEST_CASE("metadata are keys by id, and never those of the audio") {
  const TemporaryFolder folder;
  const auto path = folder.path() / "metadata.jsonl";
  const auto write = [&](const std::string& text) { std::ofstream(path) << text; };

  write("{\"id\":\"a\",\"speaker\":\"jane\"}\n{\"speaker\":\"joe\",\"id\":\"b\",\"text\":\"hi\"}\n");
  const Metadata metadata = read_metadata(path);
  REQUIRE(metadata.size() == 2);
  CHECK(metadata.at("a") == Json({{"speaker", "jane"}}));
  CHECK(metadata.at("b") == Json({{"speaker", "joe"}, {"text", "hi"}}));

  for (const char* wrong : {"{\"id\":\"a\",\"samples\":3}\n", "{\"speaker\":\"a\"}\n", "[]\n", "{\"id\":1}\n",
                            "{\"id\":\"a\"}\n{\"id\":\"a\"}\n"}) {
    CAPTURE(wrong);
    write(wrong);
    CHECK_THROWS_AS(read_metadata(path), Error);
  }
  CHECK_THROWS_AS(read_metadata(folder.path() / "none.jsonl"), Error);
}
