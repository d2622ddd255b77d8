#include "report/text.h"

#include <catch2/catch.hpp>

using namespace retort;

TEST_CASE("text cannot become markup") {
  CHECK(escape_html("<script>\"&'</script>") == "&lt;script&gt;&quot;&amp;&#39;&lt;/script&gt;");
  CHECK(escape_html("masked.loss 3 x 96") == "masked.loss 3 x 96");
  CHECK(escape_html("&lt;") == "&amp;lt;");
}

TEST_CASE("names keep their letters and lose their controls") {
  CHECK(printable("a\x1b[31m\n\x7f") == "a?[31m??");
  CHECK(printable("gr\xc3\xb6\xc3\x9f"
                  "e") ==
        "gr\xc3\xb6\xc3\x9f"
        "e");
}

TEST_CASE("values are written with what they have to say") {
  CHECK(format_value(0) == "0");
  CHECK(format_value(-0.0) == "0");
  CHECK(format_value(2400) == "2400");
  CHECK(format_value(94371712) == "94371712");
  CHECK(format_value(86662668.8) == "86662669");
  CHECK(format_value(2.2410212) == "2.241");
  CHECK(format_value(8.69565e-07) == "8.6956e-07");
  CHECK(format_value(-0.5) == "-0.5");
  CHECK(format_value(1e20) == "1e+20");
}
