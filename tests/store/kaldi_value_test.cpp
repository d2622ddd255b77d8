#include "store/kaldi_value.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <limits>
#include <sstream>

#include "base/error.h"
#include "base/files.h"
#include "base/random.h"
#include "store/npy.h"

using namespace retort;

namespace {

const std::filesystem::path fixtures = std::filesystem::path(RETORT_FIXTURES) / "kaldi";

std::vector<KaldiEntry> read_archive(const std::string& bytes) {
  std::stringbuf buffer(bytes, std::ios::in);
  KaldiArchive archive(buffer);
  std::vector<KaldiEntry> entries;
  while (std::optional<KaldiEntry> entry = archive.next()) entries.push_back(std::move(*entry));
  return entries;
}

std::string problem_of(const std::string& bytes) {
  try {
    read_archive(bytes);
  } catch (const Error& error) {
    CHECK(std::string(error.what()).find('\n') == std::string::npos);
    return error.what();
  }
  return "";
}

// The matrix or vector that stands for itself in an archive with the key u.
KaldiValue value_of(const std::string& bytes) {
  std::vector<KaldiEntry> entries = read_archive("u " + bytes);
  REQUIRE(entries.size() == 1);
  CHECK(entries[0].key == "u");
  return std::move(entries[0].value);
}

std::string bits(const void* data, std::size_t bytes) {
  return {static_cast<const char*>(data), bytes};
}

bool same_bits(const Matrix& a, const Matrix& b) {
  return a.rows() == b.rows() && a.columns() == b.columns() &&
         bits(a.data(), a.values().size_bytes()) == bits(b.data(), b.values().size_bytes());
}

std::string size_bytes(int32_t size) {
  return '\x04' + bits(&size, sizeof size);
}

std::string header(const char* token, int32_t rows, int32_t columns) {
  return std::string("\0B", 2) + token + " " + size_bytes(rows) + size_bytes(columns);
}

std::string compressed_header(const char* token, int32_t rows, int32_t columns) {
  const float range[] = {0, 1};
  const int32_t shape[] = {rows, columns};
  return std::string("\0B", 2) + token + " " + bits(range, sizeof range) + bits(shape, sizeof shape);
}

}  // namespace

TEST_CASE("tables that kaldiio wrote stand for the floats that Kaldi would read, bit for bit") {
  for (const char* name : {"float", "double", "vector", "auto", "cm", "cm2", "cm2int", "cm3", "cm3zero"}) {
    CAPTURE(name);
    const std::vector<KaldiEntry> entries = read_archive(read_file(fixtures / (std::string(name) + ".ark")));
    REQUIRE(entries.size() == 2);
    const bool vector = std::string(name) == "vector";
    for (const KaldiEntry& entry : entries) {
      CAPTURE(entry.key);
      CHECK(entry.value.kind == (vector ? KaldiValue::Kind::vector : KaldiValue::Kind::matrix));
      CHECK(same_bits(entry.value.matrix,
                      read_npy_matrix(fixtures / fmt::format("{}.{}.npy", name, entry.key))));
    }
  }
}

TEST_CASE("text stands for the same floats") {
  const std::vector<KaldiEntry> entries = read_archive(read_file(fixtures / "text.ark"));
  REQUIRE(entries.size() == 2);
  CHECK(same_bits(entries[0].value.matrix, read_npy_matrix(fixtures / "float.a.npy")));
  CHECK(same_bits(entries[1].value.matrix, read_npy_matrix(fixtures / "float.b.npy")));
  CHECK(entries[0].value.kind == KaldiValue::Kind::matrix);
}

TEST_CASE("labels of int32, binary and text") {
  for (const char* name : {"labels.ark", "labels.txt"}) {
    CAPTURE(name);
    const std::vector<KaldiEntry> entries = read_archive(read_file(fixtures / name));
    REQUIRE(entries.size() == 3);
    CHECK(entries[0].value.kind == KaldiValue::Kind::integers);
    CHECK(entries[0].value.integers == std::vector<int32_t>{3, 0, 499, 70000});
    CHECK(entries[1].value.integers.empty());
    CHECK(entries[2].value.integers == std::vector<int32_t>{7});
  }
  CHECK(read_archive("a\nb\t1 2\r\nc 3")[2].value.integers == std::vector<int32_t>{3});
}

TEST_CASE("what is written is what kaldiio writes") {
  std::string floats, labels;
  for (const char* key : {"a", "b"})
    floats += std::string(key) + " " +
              kaldi_bytes(read_npy_matrix(fixtures / fmt::format("float.{}.npy", key)), true);
  CHECK(floats == read_file(fixtures / "float.ark"));
  for (const KaldiEntry& entry : read_archive(read_file(fixtures / "labels.ark")))
    labels += entry.key + " " + kaldi_bytes(entry.value.integers, true);
  CHECK(labels == read_file(fixtures / "labels.ark"));
}

TEST_CASE("every float and label survives binary and text") {
  Random random(5);
  Matrix matrix(40, 50);
  for (int64_t i = 0; i < 2000; ++i) {
    const auto word = static_cast<uint32_t>(random.below(uint64_t{1} << 32));
    std::memcpy(matrix.data() + i, &word, sizeof word);
    if (std::isnan(matrix.data()[i])) matrix.data()[i] = static_cast<float>(i);
  }
  const float edges[] = {0.0F,
                         -0.0F,
                         1.0F,
                         1e20F,
                         1e-45F,
                         std::numeric_limits<float>::max(),
                         16777216.0F,
                         std::numeric_limits<float>::infinity(),
                         -std::numeric_limits<float>::infinity()};
  std::copy(std::begin(edges), std::end(edges), matrix.data());
  for (const bool binary : {true, false})
    CHECK(same_bits(value_of(kaldi_bytes(matrix, binary)).matrix, matrix));
  const std::vector<int32_t> labels = {0, -1, std::numeric_limits<int32_t>::max(),
                                       std::numeric_limits<int32_t>::min()};
  for (const bool binary : {true, false}) CHECK(value_of(kaldi_bytes(labels, binary)).integers == labels);
  for (const bool binary : {true, false}) {
    CHECK(value_of(kaldi_bytes(Matrix(0, 7), binary)).matrix.rows() == 0);
    CHECK(value_of(kaldi_bytes(std::vector<int32_t>(), binary)).integers.empty());
  }
  CHECK(kaldi_bytes(Matrix(0, 7), true) == header("FM", 0, 0));
  CHECK(kaldi_bytes(Matrix(2, 2, {1, 0.5, -3, 4}), false) == " [\n  1.0 0.5\n  -3.0 4.0 ]\n");
}

TEST_CASE("text as people and other tools write it") {
  const KaldiValue loose = value_of(" [\r\n +1 -.5e1\t3 ; nan inf -Infinity\n\n]\r\n");
  REQUIRE(loose.matrix.rows() == 2);
  CHECK(loose.matrix(0, 1) == -5);
  CHECK(std::isnan(loose.matrix(1, 0)));
  CHECK(loose.matrix(1, 2) == -std::numeric_limits<float>::infinity());
  CHECK(value_of("[ 1 2 3 ]").kind == KaldiValue::Kind::vector);
  CHECK(value_of("[1 2 3]").matrix.columns() == 3);
  CHECK(value_of("[ 1e-60 ]").matrix(0, 0) == 0);
  CHECK(value_of("[]\n").matrix.rows() == 0);
  CHECK(value_of("[ ]\n").kind == KaldiValue::Kind::matrix);
  CHECK(read_archive("a [ 1 ]\nb  [\n  2 ]\n").size() == 2);
  CHECK(read_archive("\n  a [ 1 ]\n\n").size() == 1);
}

TEST_CASE("an empty compressed matrix is read with the bytes that Kaldi writes too many, or without") {
  const std::vector<KaldiEntry> entries = read_archive(read_file(fixtures / "empty-cm.ark"));
  REQUIRE(entries.size() == 3);
  CHECK(entries[0].value.matrix.rows() == 0);
  CHECK(same_bits(entries[1].value.matrix, read_npy_matrix(fixtures / "float.a.npy")));
  CHECK(read_archive("e " + compressed_header("CM2", 0, 0) + "f 1 2\n").size() == 2);
}

TEST_CASE("doubles beyond f32 become infinite, as in Kaldi") {
  const double values[] = {1e300, -1e300, 3.4028235e38, 1e-300};
  const Matrix read = value_of(header("DM", 2, 2) + bits(values, sizeof values)).matrix;
  CHECK(std::isinf(read(0, 0)));
  CHECK(read(0, 1) == -std::numeric_limits<float>::infinity());
  CHECK(read(1, 0) == std::numeric_limits<float>::max());
  CHECK(read(1, 1) == 0);
}

TEST_CASE("what is wrong with a value is said with its key") {
  const std::string zero("\0", 1);
  const std::vector<std::pair<std::string, std::string>> wrong = {
      {"u", "u: is cut short after its key"},
      {"u ", "u: is cut short"},
      {"u " + zero + "X", "not followed by B"},
      {"u " + header("FX", 1, 1), "type FX"},
      {"u " + zero + "BHUGETOKENWITHOUTEND", "type HUGETOKENWITHOUT"},
      {"u " + zero + "BFM \x08", "a size of 8 bytes"},
      {"u " + header("FM", -1, 4), "-1 rows of 4 values, which cannot be"},
      {"u " + header("FM", 4, 0), "4 rows of 0 values"},
      {"u " + header("FM", 2147483647, 2147483647) + "abcd", "which cannot be"},
      {"u " + header("FM", 40000, 40000) + "abcd",
       "u: is cut short (4 of 6400000000 bytes of values are there)"},
      {"u " + header("DM", 1, 2) + "12345678", "(8 of 16 bytes"},
      {"u " + zero + "BFV " + size_bytes(-5), "-5 values"},
      {"u " + compressed_header("CM", -4, 4), "-4 rows"},
      {"u " + compressed_header("CM", 4, 1000000000) + "abc", "cut short (3 of 8000000000"},
      {"u " + compressed_header("CM3", 2, 4) + "abc", "cut short (3 of 8 bytes"},
      {"u " + zero + "B" + size_bytes(-1), "-1 labels"},
      {"u " + zero + "B" + size_bytes(2000000000) + size_bytes(1), "cut short (5 of 10000000000"},
      {"u " + zero + "B" + size_bytes(1) +
           "\x08"
           "1234",
       "value 0 is no int32"},
      {"u [ 1 2", "no ] at its end"},
      {"u [\n 1 2\n 3 ]\n", "row 1 has 1 values, those before have 2"},
      {"u [ 1 x ]\n", "holds x, which is no number"},
      {"u [ 1e99 ]\n", "holds 1e99, which is beyond f32"},
      {"u 1 2.5\n", "holds 2.5 where a matrix, a vector or a list of int32 was expected"},
      {"u 99999999999\n", "holds 99999999999 where"},
      {"u a.ark:17\n", "holds a.ark:17 where"},
      {"u 1\nv [ 1", "v: is cut short"},
      {"u 1\n\x01\x02 3", "entry 1 has no key but ?"},
      {std::string(10000, 'k') + " 1\n", "has no key"}};
  for (const auto& [bytes, message] : wrong) {
    CAPTURE(bytes.substr(0, 60), message);
    CHECK_THAT(problem_of(bytes), Catch::Contains(message));
  }
}

TEST_CASE("an archive that ends anywhere but between two entries is refused") {
  for (const char* name : {"float.ark", "cm.ark", "cm3.ark", "vector.ark", "labels.ark", "text.ark"}) {
    CAPTURE(name);
    const std::string whole = read_file(fixtures / name);
    const std::vector<KaldiEntry> entries = read_archive(whole);
    for (std::size_t size = 1; size < whole.size(); ++size) {
      std::size_t read = 0;
      if (problem_of(whole.substr(0, size)).empty()) read = read_archive(whole.substr(0, size)).size();
      // Text may lack its last newline, nothing else.
      const bool between = read > 0 && read < entries.size();
      const bool no_newline = std::string(name) == "text.ark" && size + 1 == whole.size();
      if (read > 0 && !between && !no_newline) FAIL_CHECK("cut to " << size << " bytes and read");
      if (between) CHECK((whole[size] == entries[read].key[0] || whole[size] == '\n'));
    }
  }
}

TEST_CASE("no damage does more than be refused or be read") {
  Random random(11);
  for (const char* name :
       {"float.ark", "double.ark", "auto.ark", "cm3.ark", "labels.ark", "text.ark", "empty-cm.ark"}) {
    const std::string good = read_file(fixtures / name);
    for (int i = 0; i < 3000; ++i) {
      std::string bytes = good;
      for (uint64_t changes = 1 + random.below(3); changes > 0; --changes)
        bytes[random.below(bytes.size())] = static_cast<char>(random.below(256));
      problem_of(bytes);
    }
  }
}
