#include "base/error.h"

#include <catch2/catch.hpp>

using namespace retort;

TEST_CASE("an error is one line, whatever was put into it") {
  CHECK(std::string(Error("a\nb\x1b[31m\x7f \u00e9").what()) == "a?b?[31m? \u00e9");
  CHECK_THROWS_WITH(fail("{}: cut", "x\ty"), "x?y: cut");
}

TEST_CASE("text out of a file is made fit for a message") {
  CHECK(one_line("plain text") == "plain text");
  CHECK(one_line("a\nb\xff\x7f") == "a?b??");
  CHECK(one_line("\u00e9\u4e2d\u009b[31m") == "\u00e9\u4e2d?[31m");
  CHECK(one_line("\xe4\xb8") == "??");  // the beginning of a character
  CHECK(one_line(std::string(500, 'x')) == std::string(120, 'x') + "...");
}
