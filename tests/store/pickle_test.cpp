#include "store/pickle.h"

#include <catch2/catch.hpp>

#include "base/error.h"
#include "base/files.h"
#include "base/random.h"
#include "pickle_opcodes.h"

using namespace retort;
using Catch::Contains;

namespace {

const std::filesystem::path fixtures = std::filesystem::path(RETORT_FIXTURES) / "torch";

// A pickle of protocol 2 with these opcodes and an end.
std::string protocol_2(const std::string& opcodes) {
  std::string pickle("\x80\x02");
  pickle += opcodes;
  pickle += '.';
  return pickle;
}

std::string decoded_base64(const std::string& text) {
  static const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    if (c == '=') break;
    bits = bits << 6 | static_cast<uint32_t>(digits.find(c));
    if ((count += 6) >= 8) bytes += static_cast<char>(bits >> (count -= 8) & 0xff);
  }
  return bytes;
}

Json plain(const std::string& pickle) {
  const Pickle parsed(pickle, "p");
  return plain_json(parsed.root());
}

// The message of the Error that parsing these bytes ends in.
std::string refusal(const std::string& bytes) {
  try {
    const Pickle parsed(bytes, "FILE");
    return "parsed as " + parsed.root().describe();
  } catch (const Error& error) {
    return error.what();
  }
}

std::string refused_call(const std::string& opcodes) {
  return refusal(protocol_2(opcodes));
}

}  // namespace

TEST_CASE("plain data of every protocol reads as Python's json has it") {
  const Json expected = read_json(fixtures / "plain.json");
  for (int protocol = 0; protocol <= 5; ++protocol) {
    const std::string bytes = read_file(fixtures / fmt::format("plain-{}.pkl", protocol));
    CAPTURE(protocol);
    CHECK(plain(bytes) == expected);
    CHECK(Pickle(bytes + "more", "p").size() == bytes.size());
  }
}

TEST_CASE("values keep their kinds, and accessors refuse other ones in one line") {
  const Pickle pickle(read_file(fixtures / "plain-2.pkl"), "p");
  const PickleValue& root = pickle.root();
  using Kind = PickleValue::Kind;
  CHECK(root.is_dict());
  CHECK(root.at("none", "x").is_none());
  CHECK(root.at("yes", "x").as_bool("x"));
  CHECK(root.at("int", "x").as_int("x") == -5);
  CHECK(root.at("int", "x").as_real("x") == -5.0);
  CHECK(root.at("real", "x").as_real("x") == -1.5e300);
  CHECK(root.at("tuple", "x").kind() == Kind::tuple);
  CHECK(root.at("set", "x").kind() == Kind::set);
  CHECK(root.at("frozen", "x").kind() == Kind::set);
  CHECK(root.at("list", "x").items().size() == 2);
  CHECK(root.find("nowhere") == nullptr);
  CHECK_THROWS_WITH(root.at("nowhere", "FILE"), "FILE: no \"nowhere\" in it");
  CHECK_THROWS_WITH(root.as_text("FILE"), "FILE: is a dict, a text was expected");
  CHECK_THROWS_WITH(root.at("real", "x").as_int("FILE: x"), "FILE: x: is a float, an int was expected");
  CHECK_THROWS_WITH(root.at("int", "x").as_bool("FILE: x"), "FILE: x: is an int, a bool was expected");
  CHECK_THROWS_WITH(root.at("text", "x").as_real("FILE: x"), "FILE: x: is a text, a number was expected");
  CHECK_THROWS_WITH(root.at("list", "x").tensor("FILE: x"), "FILE: x: is a list, a tensor was expected");
  CHECK_THROWS_WITH(tensors_of(root, "FILE"), "FILE: none: is None, a tensor was expected");
  CHECK_THROWS_WITH(tensors_of(root.at("list", "x"), "FILE"),
                    "FILE: is a list, a dict of tensors was expected");
}

TEST_CASE("integers of any length") {
  CHECK(plain(protocol_2(std::string("\x8a\x00", 2))) == 0);
  CHECK(plain(protocol_2("\x8a\x01\xff")) == -1);
  CHECK(plain(protocol_2(std::string("\x8a\x02\xff\x00", 4))) == 255);
  CHECK(plain(protocol_2("\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f")) == INT64_MAX);
  CHECK(plain(protocol_2(std::string("\x8a\x08\0\0\0\0\0\0\0\x80", 10))) == INT64_MIN);
  CHECK(plain(protocol_2(std::string("\x8a\x09\0\0\0\0\0\0\0\x80\0", 11))) == 0x1p63);
  CHECK(plain(protocol_2(std::string("\x8a\x09\0\0\0\0\0\0\0\x80\xff", 11))) == INT64_MIN);
  CHECK(plain(protocol_2(std::string("\x8a\x09\xff\xff\xff\xff\xff\xff\xff\x7f\xff", 11))) == -0x1p63 - 1);
  CHECK(plain(protocol_2("L-9223372036854775808L\n")) == INT64_MIN);
  CHECK(plain(protocol_2("L18446744073709551616L\n")) == 0x1p64);
  CHECK_THAT(refused_call(std::string("\x8b\0\x10\0\0", 5) + std::string(4096, 'a')), Contains("1024 bytes"));
  CHECK_THAT(refused_call("I12x\n"), Contains("an integer cannot be read"));
  CHECK_THAT(refused_call("F1.5.\n"), Contains("a number cannot be read"));
}

TEST_CASE("texts of Python 2, escapes and what is no UTF-8") {
  CHECK(plain("S'a\\x41\\101\\n\\'\\\\\\q'\n.") == "aAA\n'\\\\q");
  CHECK(plain("V\\u20ac\\U0001f600\xe9\\\n.") == "\u20ac\U0001f600\u00e9\\");
  CHECK(plain(protocol_2("U\x02\xc3\xa9")) == "\u00e9");
  CHECK(Pickle(protocol_2("U\x02\xff\xfe"), "p").root().kind() == PickleValue::Kind::bytes);
  CHECK(Pickle(protocol_2(text_op("\xed\xa0\x80")), "p").root().kind() ==
        PickleValue::Kind::bytes);  // a surrogate
  CHECK(Pickle(protocol_2(text_op("\xc0\x80")), "p").root().kind() == PickleValue::Kind::bytes);  // overlong
  CHECK_THAT(refusal("S'a\n."), Contains("a text cannot be read"));
  CHECK_THAT(refusal("S'a\\x4'\n."), Contains("a text cannot be read"));
  CHECK_THAT(refusal("V\\u20\n."), Contains("a text cannot be read"));
}

TEST_CASE("pickles that call functions are refused, by name, in every protocol") {
  const Json calls = read_json(fixtures / "calls.json");
  CHECK(calls.size() == 40);
  for (const Json& call : calls) {
    const std::string message = refusal(decoded_base64(call.at("pickle")));
    CHECK(message ==
          fmt::format("FILE: the pickle wants to call {}; refused", call.at("calls").get<std::string>()));
  }
}

TEST_CASE("no other opcode calls, and nothing that a file names is changed") {
  CHECK_THAT(refusal("(S'true'\nios\nsystem\n."), Contains("wants to call os.system; refused"));
  CHECK_THAT(refusal("(cos\nsystem\nS'true'\no."), Contains("wants to call os.system; refused"));
  CHECK_THAT(refused_call("cos\nsystem\n)\x81"), Contains("wants to call os.system; refused"));
  CHECK_THAT(refused_call("cos\nsystem\n)}\x92"), Contains("wants to call os.system; refused"));
  CHECK_THAT(refused_call(text_op("os") + text_op("system") + "\x93)R"),
             Contains("wants to call os.system; refused"));
  CHECK_THAT(refused_call("cbuiltins\ngetattr\ncos\npath\n" + text_op("system") + "\x86R"),
             Contains("builtins.getattr"));
  CHECK_THAT(refused_call("cbuiltins\ngetattr\ncmod\nKlass\n" + text_op("__init__") + "\x86R"),
             Contains("builtins.getattr"));
  CHECK_THAT(refused_call("ccopyreg\n__newobj__\ncos\nsystem\n\x85R"),
             Contains("wants to call os.system; refused"));
  CHECK_THAT(refused_call("ccopyreg\n_reconstructor\ncos\nsystem\ncbuiltins\nobject\nN\x87R"),
             Contains("wants to call os.system; refused"));
  CHECK_THAT(refused_call("ctorch._tensor\n_rebuild_from_type_v2\ncos\nsystem\nN)Nt(tR"),
             Contains("damaged"));
  CHECK_THAT(refused_call("ctorch._tensor\n_rebuild_from_type_v2\n(cos\nsystem\nN)NtR"),
             Contains("wants to call os.system; refused"));
  CHECK_THAT(refused_call("csubprocess\nPopen\n)R"), Contains("wants to call subprocess.Popen; refused"));
  CHECK_THAT(refused_call("cmod\nKlass\n)R)R"),
             Contains("wants to call what is an instance of mod.Klass; refused"));
  CHECK_THAT(refused_call("cos\nenviron\n" + text_op("A") + text_op("b") + "s"), Contains("wants to change"));
  CHECK_THAT(refused_call("csys\npath\n" + text_op("A") + "a"), Contains("wants to change"));
  CHECK_THAT(refused_call("cmod\nKlass\n}b"), Contains("wants to change the name mod.Klass"));
  CHECK_THAT(refused_call("cmod\nlower\n)R"), Contains("wants to call mod.lower; refused"));
  CHECK_THAT(refused_call("cmod\n\x1b[31m\nX\n)R"), Contains("damaged") || Contains("?[31m"));
  const std::string newline = refused_call(text_op("mod") + text_op("a\nb") + "\x93)R");
  CHECK(newline == "FILE: the pickle wants to call mod.a?b; refused");
}

TEST_CASE("unknown classes are inert records") {
  const Pickle pickle(protocol_2("cmod\nKlass\nK\x05\x85R}" + text_op("name") + "K\x07sb"), "p");
  const PickleValue& record = pickle.root();
  CHECK(record.is_record());
  CHECK(record.class_name() == "mod.Klass");
  CHECK(record.arguments()->items()[0]->as_int("x") == 5);
  CHECK(record.find("name")->as_int("x") == 7);
  CHECK(record.describe() == "an instance of mod.Klass");
  CHECK(plain(protocol_2("cmod\nMode\n" + text_op("on") + "\x85R")) == "on");
  CHECK(plain(protocol_2("cbuiltins\ngetattr\ncmod\nMode\n" + text_op("on") + "\x86R")) == "on");
  CHECK(plain(protocol_2("cmod\nwhatever\n")) == "mod.whatever");
  CHECK(plain(protocol_2("cmod\nlower\n)\x81}" + text_op("a") + "K\x01sb")) == Json{{"a", 1}});
}

TEST_CASE("type expressions are records; the same calls on anything else are refused") {
  CHECK(refused_call("coperator\ngetitem\nctyping\nList\nc__builtin__\nint\n\x86R") ==
        "parsed as an instance of typing.List");
  CHECK(refused_call("c__builtin__\nreduce\nc_operator\nor_\nN\x86R") ==
        "parsed as an instance of typing.Union");
  CHECK(refused_call("c__builtin__\ntype\nN\x85R") == "parsed as an instance of builtins.type");
  CHECK(refused_call("ctypes\nGenericAlias\nNN\x86R") == "parsed as an instance of types.GenericAlias");
  CHECK_THAT(refused_call("coperator\ngetitem\ncos\nenviron\nN\x86R"),
             Contains("wants to call operator.getitem; refused"));
  CHECK_THAT(refused_call("c__builtin__\nreduce\nc__builtin__\neval\nN\x86R"),
             Contains("functools.reduce; refused"));
  CHECK_THAT(refused_call("c__builtin__\ntype\nN)}\x87R"), Contains("builtins.type; refused"));
  CHECK_THAT(refused_call("ctypes\nFunctionType\n)R"), Contains("types.FunctionType; refused"));
}

TEST_CASE("a key twice: the last one counts, at the first one's place") {
  const std::string pickle =
      protocol_2("}(" + text_op("a") + "K\x01" + text_op("b") + "K\x02" + text_op("a") + "K\x03u");
  CHECK(plain(pickle).dump() == R"({"a":3,"b":2})");
  CHECK(Pickle(pickle, "p").root().find("a")->as_int("x") == 3);
}

TEST_CASE("what holds itself, or the same a million times, has an end") {
  const Pickle circle(protocol_2("]q\x01h\x01"
                                 "a"),
                      "p");
  CHECK(circle.root().items()[0] == &circle.root());
  CHECK_THROWS_WITH(plain_json(circle.root(), "FILE"), Contains("nested more than 200 deep"));

  std::string doubling =
      "](K\x01K\x02"
      "e";  // then lists of twice the one before
  for (char i = 1; i < 60; ++i) doubling += std::string("q") + i + "0](h" + i + "h" + i + "e";
  const Pickle laughs(protocol_2(doubling), "p");
  CHECK_THROWS_WITH(plain_json(laughs.root(), "FILE"), Contains("more than 1000000 values"));

  const std::string deep = protocol_2(std::string(500'000, ']') + std::string(499'999, 'a'));
  const Pickle parsed(deep, "p");
  CHECK_THROWS_WITH(plain_json(parsed.root(), "FILE"), Contains("nested more than 200 deep"));

  // Keys that are dumped within keys that are dumped: each time their quotes are escaped again.
  std::string quoted = fmt::format("]{}a", text_op("x"));
  for (int i = 0; i < 60; ++i)
    quoted +=
        "q\x01"
        "0]}(h\x01Nua";
  const Pickle escaped(protocol_2(quoted), "p");
  CHECK_THROWS_WITH(plain_json(escaped.root(), "FILE"), Contains("bytes of text"));

  std::string texts = text_op(std::string(1 << 20, 'x')) +
                      "q\x01"
                      "0](";
  for (int i = 0; i < 100; ++i) texts += "h\x01";
  const Pickle repeated(protocol_2(texts + "e"), "p");
  CHECK_THROWS_WITH(plain_json(repeated.root(), "FILE"), Contains("bytes of text"));
}

TEST_CASE("limits hold, however little the file says") {
  CHECK_THAT(refusal(std::string(5'000'000, ']')), Contains("more than 4000000 values"));
  CHECK_THAT(refusal(std::string(5'000'000, '(')), Contains("more than 4000000 values"));
  CHECK_THAT(refusal(fmt::format("N{}", std::string(5'000'000, '2'))), Contains("more than 4000000 values"));
  CHECK_THAT(refused_call("Nr\xff\xff\xff\xff"), Contains("memo entry 4294967295"));
  CHECK_THAT(refused_call("Np99999999999999999999\n"), Contains("a number cannot be read"));
  CHECK_THAT(refused_call("X\xff\xff\xff\xff"), Contains("it is cut short"));
  CHECK_THAT(refused_call("\x8d\xff\xff\xff\xff\xff\xff\xff\xff"), Contains("it is cut short"));
  // Copies of one long list cost as much as their items.
  std::string copies = "](" + std::string(10'000, 'N') +
                       "e\x85q\x01"
                       "0";
  for (int i = 0; i < 1000; ++i) copies += "cbuiltins\nlist\nh\x01R0";
  CHECK_THAT(refused_call(copies + "N"), Contains("more than 4000000 values"));
  // So do copies of one long text.
  std::string encoded = text_op(std::string(1 << 20, 'x')) + text_op("latin1") +
                        "\x86q\x01"
                        "0";
  for (int i = 0; i < 100; ++i) encoded += "c_codecs\nencode\nh\x01R0";
  CHECK_THAT(refused_call(encoded + "N"), Contains("bytes of text"));
  const PickleLimits tiny{8, 100};
  CHECK_THROWS_WITH(Pickle(protocol_2(text_op("long")), "FILE", tiny), Contains("longer than 8 bytes"));
}

TEST_CASE("damage is told in one line") {
  CHECK_THAT(refusal(""), Contains("it is cut short"));
  CHECK_THAT(refusal("N"), Contains("it is cut short"));
  CHECK_THAT(refusal("."), Contains("its stack is empty"));
  CHECK_THAT(refusal("(."), Contains("its stack is empty"));
  CHECK_THAT(refusal("N(a."), Contains("its stack is empty"));
  CHECK_THAT(refusal("Nt."), Contains("a mark is missing"));
  CHECK_THAT(refusal("}(Nu."), Contains("a key without a value"));
  CHECK_THAT(refusal("NNa."), Contains("something is appended to None"));
  CHECK_THAT(refusal("NNNs."), Contains("a key is set in None"));
  CHECK_THAT(refusal("NNb."), Contains("a state is set on None"));
  CHECK_THAT(refusal("h\x05."), Contains("memo entry 5 is not there"));
  CHECK_THAT(refusal("\x80\x06N."), Contains("protocol 6"));
  CHECK_THAT(refusal("\x82\x01."), Contains("no opcode that checkpoints have: 0x82"));  // an extension code
  CHECK_THAT(refusal("\x97."), Contains("0x97"));                                       // a buffer outside
  CHECK_THAT(refusal("Pid\n."), Contains("0x50"));                                      // an id as text
  CHECK_THAT(refusal("NQ."), Contains("names no storage"));
  CHECK_THAT(refusal("N)R."), Contains("None is called"));
  CHECK_THAT(refusal("cmod\nKlass\nNR."), Contains("without a tuple"));
  CHECK_THAT(refusal("cmod\nKlass"), Contains("a line has no end"));
  CHECK_THAT(refusal("NN\x93."), Contains("a class without a name"));
  CHECK_THAT(refusal(fmt::format("c{}\nK\n.", std::string(600, 'm'))), Contains("more than 512 bytes"));
  CHECK_THAT(refusal("cmod\nK\xff\n."), Contains("a name that is no text"));
}

TEST_CASE("tensors are checked while the pickle is read") {
  const auto tensor = [&](const std::string& storage, const std::string& rest) {
    return refused_call("ctorch._utils\n_rebuild_tensor_v2\n(" + storage + rest + "\x89NtR");
  };
  const auto storage = [&](const std::string& type, const std::string& count) {
    return fmt::format("({}ctorch\n{}\n{}{}{}tQ", text_op("storage"), type, text_op("0"), text_op("cpu"),
                       count);
  };
  const std::string good = storage("FloatStorage", "K\x06");
  CHECK(tensor(good, "K\x01K\x05\x85K\x01\x85") == "parsed as a tensor");
  CHECK_THAT(tensor("N", "K\x01K\x05\x85K\x01\x85"), Contains("a tensor without a storage"));
  CHECK_THAT(tensor(good, "J\xff\xff\xff\xffK\x05\x85K\x01\x85"), Contains("no counts"));
  CHECK_THAT(tensor(good, "K\x01NK\x01\x85"), Contains("without sizes"));
  CHECK_THAT(tensor(good, "K\x01K\x05\x85)"), Contains("more sizes than strides"));
  CHECK_THAT(tensor(good, "K\x01(" + std::string(40, 'N') + "t)"), Contains("32 dimensions"));
  CHECK_THAT(tensor(storage("FloatStorage", "J\xff\xff\xff\xff"), "K\x01))"), Contains("no counts"));
  CHECK_THAT(tensor(storage("FloatStorage", "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f"), "K\x01))"),
             Contains("larger than every file"));
  CHECK_THAT(tensor(storage("SomeStorage", "K\x01"), "K\x01))"), Contains("SomeStorage are not supported"));
  CHECK_THAT(refused_call(good + storage("FloatStorage", "K\x07") + "\x86"),
             Contains("two sizes, 24 and 28 bytes"));
}

TEST_CASE("no damaged byte does more than be refused or read") {
  Random random(5);
  for (int protocol = 0; protocol <= 5; ++protocol) {
    const std::string good = read_file(fixtures / fmt::format("plain-{}.pkl", protocol));
    for (int i = 0; i < 2000; ++i) {
      std::string bytes = good.substr(0, i % 2 == 0 ? good.size() : random.below(good.size()));
      for (int k = 0; k < 3 && !bytes.empty(); ++k)
        bytes[random.below(bytes.size())] = static_cast<char>(random.below(256));
      try {
        const Pickle pickle(bytes, "p");
        plain_json(pickle.root());
      } catch (const Error& error) {
        CHECK(std::string_view(error.what()).find('\n') == std::string_view::npos);
      }
    }
  }
}
