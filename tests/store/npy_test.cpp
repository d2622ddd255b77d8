#include "store/npy.h"

#include <catch2/catch.hpp>
#include <cstring>

#include "base/error.h"
#include "base/random.h"

using namespace retort;

namespace {

std::string with_header(int version, const std::string& dict, const std::string& values) {
  std::string bytes = "\x93NUMPY";
  bytes += {static_cast<char>(version), '\0'};
  const auto length = static_cast<uint32_t>(dict.size());
  bytes.append(reinterpret_cast<const char*>(&length), version == 1 ? 2 : 4);
  return bytes + dict + values;
}

std::string floats(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

void write(const std::filesystem::path& path, const std::string& bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

}  // namespace

TEST_CASE("a header is what NumPy writes and keeps its length while rows are added") {
  // From numpy 2.3: np.save of an array of shape (3, 4), dtype <f4, is 128 bytes of header.
  const std::string header = npy_header("<f4", {3, 4});
  CHECK(header.size() == 128);
  CHECK(header.substr(0, 10) == std::string("\x93NUMPY\x01\x00v\x00", 10));
  CHECK(header.find("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }") == 10);
  CHECK(header.back() == '\n');
  CHECK(npy_header("<u2", {0}).find("'shape': (0,), }") != std::string::npos);
  for (const int64_t rows : {int64_t{0}, int64_t{7}, int64_t{123456789}, int64_t{1} << 50})
    CHECK(npy_header("<f4", {rows, 768}).size() == npy_header("<f4", {0, 768}).size());
}

TEST_CASE("all versions, key orders, quotes and Fortran order are read") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "a.npy";
  const std::string values = floats({1, 2, 3, 4, 5, 6});
  for (const int version : {1, 2, 3})
    for (const char* dict : {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n",
                             "{\"shape\":(2,3),\"fortran_order\":False,\"descr\":\"<f4\"}   \n"}) {
      write(path, with_header(version, dict, values));
      const Matrix matrix = read_npy_matrix(path);
      CHECK(matrix.rows() == 2);
      CHECK(matrix(1, 0) == 4);
    }
  write(path, with_header(2, "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }\n", values));
  CHECK(read_npy_matrix(path)(1, 0) == 2);
  CHECK(read_npy_matrix(path)(0, 1) == 3);
}

TEST_CASE("an array without rows is read") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "a.npy";
  write(path, with_header(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 39), }\n", ""));
  CHECK(read_npy_matrix(path).rows() == 0);
  NpyFile(path).read_rows(0, 0, nullptr);
}

TEST_CASE("damaged headers are refused, whatever the damage") {
  const std::string good = with_header(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n",
                                       floats({1, 2, 3, 4, 5, 6}));
  for (const char* dict :
       {"{}", "{'descr': '<f4', 'fortran_order': False, 'shape': (2, -3), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 8), }",
        "{'descr': '>f4', 'fortran_order': False, 'shape': (2, 3), }",
        "{'descr': '<f4', 'fortran_order': No, 'shape': (2, 3), }",
        "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 3), }"}) {
    CAPTURE(dict);
    CHECK_THROWS_AS(parse_npy_header(with_header(1, dict, ""), "x"), Error);
  }
  for (std::size_t size = 0; size < 70; ++size)
    CHECK_THROWS_AS(parse_npy_header(good.substr(0, size), "x"), Error);
  // No byte that is changed may do more than be refused or be read.
  Random random(2);
  for (int i = 0; i < 20000; ++i) {
    std::string damaged = good;
    damaged[random.below(damaged.size())] = static_cast<char>(random.below(256));
    int64_t count = 0;
    try {
      count = parse_npy_header(damaged, "x").count();
    } catch (const Error&) {
      continue;
    }
    CHECK(count >= 0);
  }
}

TEST_CASE("a file that is cut short or too long is refused") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "a.npy";
  const std::string bytes = with_header(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n",
                                        floats({1, 2, 3, 4, 5, 6}));
  write(path, bytes.substr(0, bytes.size() - 1));
  CHECK_THROWS_WITH(NpyFile(path), Catch::Contains("cut short"));
  write(path, bytes + "x");
  CHECK_THROWS_WITH(NpyFile(path), Catch::Contains("1 bytes follow"));
}

TEST_CASE("a message about a header is one line, whatever the header holds") {
  const std::string dict = "{'descr': 'a\n\x1b[31m', 'fortran_order': False, 'shape': (1,), }";
  std::string bytes("\x93NUMPY\x01\x00", 8);
  bytes += {static_cast<char>(dict.size()), '\0'};
  CHECK_THROWS_WITH(parse_npy_header(bytes + dict, "x.npy"),
                    Catch::Contains("x.npy: values of type a??[31m are not supported"));
}
