#include "store/kaldi_specifier.h"

#include <catch2/catch.hpp>
#include <vector>

#include "base/error.h"

using namespace retort;

namespace {

// What a parser says of `text`; it must be a usage error.
template <class Parse>
std::string refusal(const Parse& parse, const std::string& text) {
  try {
    parse(text);
  } catch (const Error& error) {
    CHECK(error.fault() == Fault::usage);
    CHECK(std::string(error.what()).find('\n') == std::string::npos);
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("rspecifiers have every option of Kaldi's, in any place before the colon") {
  const Rspecifier plain = parse_rspecifier("ark:feats.ark");
  CHECK_FALSE(plain.script);
  CHECK(plain.rxfilename == "feats.ark");
  CHECK_FALSE((plain.once || plain.sorted || plain.called_sorted || plain.permissive || plain.background));

  const Rspecifier all = parse_rspecifier("o,s,scp,cs,p,bg,b,t:gunzip -c a.scp.gz |");
  CHECK(all.script);
  CHECK((all.once && all.sorted && all.called_sorted && all.permissive && all.background));
  CHECK(all.rxfilename == "gunzip -c a.scp.gz |");

  const Rspecifier none = parse_rspecifier("o,s,cs,p,no,ns,ncs,np,ark:C:x");
  CHECK_FALSE((none.once || none.sorted || none.called_sorted || none.permissive));
  CHECK(none.rxfilename == "C:x");
  CHECK(parse_rspecifier("ark:-").rxfilename == "-");
  CHECK(parse_rspecifier("ark:").rxfilename.empty());
}

TEST_CASE("rspecifiers that Kaldi refuses are refused with a reason") {
  const std::vector<std::pair<std::string, std::string>> wrong = {
      {"ark,f:x", "option f is for tables that are written"},
      {"nf,scp:x", "option nf is for tables that are written"},
      {"ark,scp:x,y", "one ark or one scp"},
      {"ark,ark:x", "one ark or one scp"},
      {"s,t:x", "one ark or one scp"},
      {"ark,z:x", "no option \"z\""},
      {"ark, s:x", "no option \" s\""},
      {"ark,:x", "no option \"\""},
      {"ark:x ", "white space"},
      {" ark:x", "white space"},
      {"ark: x", "white space"},
      {"ark", "is named ark:FILE"},
      {"ark:| cat", "ends in |"},
      {"ark:cat x | sort", "ends in |"},
      {"ark:b,ark:x", "where a file's was expected"},
      {"ark:x:99999999999999999999", "no file has a byte"}};
  for (const auto& [text, reason] : wrong) {
    CAPTURE(text);
    CHECK_THAT(refusal(parse_rspecifier, text), Catch::Contains(reason));
  }
}

TEST_CASE("wspecifiers have every option of Kaldi's") {
  const Wspecifier plain = parse_wspecifier("ark:feats.ark");
  CHECK((plain.archive && !plain.script && plain.binary && !plain.flush && !plain.permissive));
  CHECK(plain.archive_wxfilename == "feats.ark");
  const Wspecifier text = parse_wspecifier("ark,t,f:-");
  CHECK((!text.binary && text.flush));
  CHECK(parse_wspecifier("t,b,f,nf,ark:x").binary);
  CHECK_FALSE(parse_wspecifier("t,b,f,nf,ark:x").flush);
  const Wspecifier both = parse_wspecifier("ark,scp,t:a b.ark,c,d.scp");
  CHECK((both.archive && both.script && !both.binary));
  CHECK(both.archive_wxfilename == "a b.ark");
  CHECK(both.script_wxfilename == "c,d.scp");
  const Wspecifier script = parse_wspecifier("scp,p:list.scp");
  CHECK((!script.archive && script.script && script.permissive));
  CHECK(script.script_wxfilename == "list.scp");
}

TEST_CASE("wspecifiers that Kaldi refuses are refused with a reason") {
  const std::vector<std::pair<std::string, std::string>> wrong = {
      {"scp,ark:a.ark,a.scp", "in this order"},
      {"ark,scp:a.ark", "two files are needed"},
      {"ark,scp:| gzip -c,a.scp", "has to be a file"},
      {"ark,scp:-,a.scp", "has to be a file"},
      {"ark,ark:x", "ark stands there twice"},
      {"ark,scp,scp:x,y", "scp stands there twice"},
      {"ark,s:x", "no option \"s\""},
      {"ark,np:x", "no option \"np\""},
      {"t:x", "an ark, an scp or both"},
      {"ark:x\t", "white space"},
      {"ark:gzip |", "begins with |"},
      {"ark:a|b", "begins with |"},
      {"ark:x.ark:12", "a place in a file"},
      {"ark:t,ark:x", "where a file's was expected"}};
  for (const auto& [text, reason] : wrong) {
    CAPTURE(text);
    CHECK_THAT(refusal(parse_wspecifier, text), Catch::Contains(reason));
  }
}

TEST_CASE("names of what is read and written") {
  CHECK(parse_rxfilename("-").kind == StreamKind::standard);
  CHECK(parse_rxfilename("").kind == StreamKind::standard);
  CHECK(parse_rxfilename("gunzip -c x.gz |").kind == StreamKind::command);
  CHECK(parse_rxfilename("gunzip -c x.gz |").name == "gunzip -c x.gz ");
  CHECK(parse_rxfilename("a.ark").name == "a.ark");
  CHECK(parse_rxfilename("a.ark").offset == 0);
  CHECK(parse_rxfilename("dir:1/a.ark:123").name == "dir:1/a.ark");
  CHECK(parse_rxfilename("dir:1/a.ark:123").offset == 123);
  CHECK(parse_rxfilename("take2").name == "take2");
  CHECK(parse_rxfilename("7").name == "7");
  CHECK(parse_wxfilename("-").kind == StreamKind::standard);
  CHECK(parse_wxfilename("| gzip -c > x.gz").name == " gzip -c > x.gz");
  CHECK(parse_wxfilename("take2").name == "take2");
}

TEST_CASE("ranges") {
  const KaldiRange both = parse_kaldi_range("2:7,0:12");
  CHECK((both.first_row == 2 && both.last_row == 7 && both.first_column == 0 && both.last_column == 12));
  const KaldiRange rows = parse_kaldi_range("2:2");
  CHECK((rows.first_row == 2 && rows.last_row == 2 && rows.last_column == -1));
  const KaldiRange columns = parse_kaldi_range(":,3:4");
  CHECK((columns.first_row == 0 && columns.last_row == -1 && columns.first_column == 3));
  for (const char* text : {"", "3", "7:2", "-1:2", "1:", "1:2:3", "1:2,", "1:2,3:4,5:6", "a:b", "1;2",
                           "1:99999999999999999999"}) {
    CAPTURE(text);
    CHECK_FALSE(refusal(parse_kaldi_range, text).empty());
  }
}

TEST_CASE("what is meant as a table") {
  for (const char* text :
       {"ark:x", "scp:x", "ark,t:-", "o,s,ark:x", "ark,f:x", "scp,ark:x", "ark, s:x", " ark:x"})
    CHECK(is_table(text));
  for (const char* text : {"feats", "a.ark", "dir/ark:x", "arks:x", "C:x", "-", ""})
    CHECK_FALSE(is_table(text));
}
