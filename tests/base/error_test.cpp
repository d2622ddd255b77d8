#include "base/error.h"

#include <catch2/catch.hpp>

using namespace retort;

TEST_CASE("an error is one line, whatever was put into it") {
  CHECK(std::string(Error("a\nb\x1b[31m\x7f \u00e9").what()) == "a?b?[31m? \u00e9");
  CHECK_THROWS_WITH(fail("{}: cut", "x\ty"), "x?y: cut");
}

TEST_CASE("text out of a file is made fit for a message") {
  CHECK(one_line("plain text") == "plain text");
  CHECK(one_line("a\nb\xff") == "a?b?");
  CHECK(one_line(std::string(500, 'x')) == std::string(120, 'x') + "...");
}
