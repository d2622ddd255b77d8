#include <zip.h>
#include <zlib.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <fstream>

#include "base/error.h"
#include "base/random.h"
#include "pickle_opcodes.h"
#include "store/crc32.h"
#include "store/half.h"
#include "store/torch_file.h"

using namespace retort;
using Catch::Contains;

namespace {

const std::filesystem::path fixtures = std::filesystem::path(RETORT_FIXTURES) / "torch";

void write(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

struct Entry {
  std::string name;
  std::string bytes;
  bool deflated = false;
};

void write_zip(const std::filesystem::path& path, const std::vector<Entry>& entries) {
  zip_t* zip = zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, nullptr);
  REQUIRE(zip != nullptr);
  for (const Entry& entry : entries) {
    zip_source_t* source = zip_source_buffer(zip, entry.bytes.data(), entry.bytes.size(), 0);
    const zip_int64_t index = zip_file_add(zip, entry.name.c_str(), source, ZIP_FL_ENC_UTF_8);
    REQUIRE(index >= 0);
    zip_set_file_compression(zip, static_cast<zip_uint64_t>(index),
                             entry.deflated ? ZIP_CM_DEFLATE : ZIP_CM_STORE, 0);
  }
  REQUIRE(zip_close(zip) == 0);
}

std::string counts(const std::vector<int64_t>& values) {
  std::string opcodes = "(";
  for (const int64_t value : values) opcodes += fmt::format("I{}\n", value);
  return opcodes + "t";
}

// A pickle of {"t": a tensor} with these numbers.
std::string tensor_pickle(const std::string& type, int64_t storage_count, int64_t offset,
                          const std::vector<int64_t>& shape, const std::vector<int64_t>& stride) {
  return fmt::format(
      "\x80\x02}}{}ctorch._utils\n_rebuild_tensor_v2\n(({}ctorch\n{}\n{}{}I{}\ntQI{}\n{}{}\x89NtRs.",
      text_op("t"), text_op("storage"), type, text_op("0"), text_op("cpu"), storage_count, offset,
      counts(shape), counts(stride));
}

std::string floats(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

TorchTensor tensor_t(const TorchFile& file) {
  return file.root().at("t", "t").tensor("t");
}

std::string error_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    CHECK(std::string_view(error.what()).find('\n') == std::string_view::npos);
    return error.what();
  }
  return "no error";
}

// Opens the file and reads all tensors of its "model".
void read_all(const std::filesystem::path& path) {
  const TorchFile file(path);
  for (const auto& [name, tensor] : tensors_of(file.root().at("model", "FILE"), "FILE"))
    file.to_bytes(tensor, name);
}

double value_at(const std::vector<std::byte>& bytes, const std::string& dtype, std::size_t i) {
  const auto as = [&]<class T>(T value) {
    std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
    return value;
  };
  if (dtype == "F64") return as(double{});
  if (dtype == "F32") return as(float{});
  if (dtype == "F16") return f32_from_f16(as(uint16_t{}));
  if (dtype == "BF16") return f32_from_bf16(as(uint16_t{}));
  if (dtype == "I64") return static_cast<double>(as(int64_t{}));
  if (dtype == "I32") return as(int32_t{});
  if (dtype == "U16") return as(uint16_t{});
  return as(uint8_t{});
}

}  // namespace

TEST_CASE("checkpoints of every format and protocol hold what PyTorch put there") {
  const Json expected = read_json(fixtures / "checkpoint.json");
  for (const std::string name :
       {"zip.pt", "zip-4.pt", "legacy-2.pt", "legacy-3.pt", "legacy-4.pt", "legacy-5.pt"}) {
    CAPTURE(name);
    CHECK(is_torch_file(fixtures / name));
    const TorchFile file(fixtures / name);
    Json plain = plain_json(file.root());
    plain.erase("model");
    CHECK(plain == expected.at("plain"));

    const auto tensors = tensors_of(file.root().at("model", name), name);
    CHECK(tensors.size() == (name.starts_with("zip") ? 21 : 20));
    for (const auto& [key, tensor] : tensors) {
      CAPTURE(key);
      const Json& want = expected.at("tensors").at(key);
      CHECK(tensor.dtype == want.at("dtype"));
      CHECK(Json(tensor.shape) == want.at("shape"));
      const auto values = want.at("values").get<std::vector<double>>();
      REQUIRE(tensor.count() == static_cast<int64_t>(values.size()));
      const auto bytes = file.to_bytes(tensor, key);
      for (std::size_t i = 0; i < values.size(); ++i) CHECK(value_at(bytes, tensor.dtype, i) == values[i]);
      if (tensor.dtype[0] != 'F' && tensor.dtype != "BF16") {
        CHECK_THROWS_WITH(file.to_f32(tensor, key), Contains("a float type was expected") && Contains(key));
        continue;
      }
      CHECK(file.to_f32(tensor, key) == std::vector<float>(values.begin(), values.end()));
    }
    CHECK(tensors.at("tied_a").storage == tensors.at("tied_b").storage);
    CHECK(tensors.at("tied_a").storage == tensors.at("tied_part").storage);
  }
}

TEST_CASE("other files that look like checkpoints are told apart") {
  const TemporaryFolder folder;
  CHECK_THROWS_WITH(TorchFile(fixtures / "script.pt"), Contains("is a TorchScript archive"));
  write(folder.path() / "x", std::string(257, '\0') + "ustar" + std::string(300, '\0'));
  CHECK_THROWS_WITH(TorchFile(folder.path() / "x"), Contains("is a tar file"));
  write_zip(folder.path() / "npz", {{"a.npy", "x"}});
  CHECK_THROWS_WITH(TorchFile(folder.path() / "npz"), Contains("without a data.pkl"));
  write(folder.path() / "x", "hello");
  CHECK_THROWS_WITH(TorchFile(folder.path() / "x"), Contains("is no PyTorch checkpoint"));
  CHECK_FALSE(is_torch_file(folder.path() / "x"));
  CHECK_THROWS_WITH(TorchFile(fixtures / "plain-2.pkl"), Contains("is no PyTorch checkpoint"));
  write(folder.path() / "x", "");
  CHECK_THROWS_WITH(TorchFile(folder.path() / "x"), Contains("is no PyTorch checkpoint"));
  CHECK_THROWS_WITH(TorchFile(folder.path() / "nowhere"), Contains("no such file"));
  CHECK_THROWS_WITH(TorchFile(folder.path()), Contains("is a folder"));
}

TEST_CASE("a checkpoint that calls a function is refused before anything is read") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "evil.pt";
  write_zip(path, {{"a/data.pkl",
                    "\x80\x02"
                    "cposix\nsystem\nU\x04true\x85R."},
                   {"a/version", "3\n"}});
  CHECK(error_of([&] { const TorchFile file(path); }) ==
        path.string() + ": the pickle wants to call posix.system; refused");
}

TEST_CASE("a cut file is refused, wherever it is cut") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "cut.pt";
  for (const std::string name : {"zip.pt", "legacy-2.pt", "legacy-4.pt"}) {
    const std::string whole = read_file(fixtures / name);
    write(path, whole);
    CHECK_NOTHROW(read_all(path));
    for (std::size_t bytes = 0; bytes < whole.size(); bytes += 1 + whole.size() / 800) {
      write(path, whole.substr(0, bytes));
      CAPTURE(name, bytes);
      CHECK(error_of([&] { read_all(path); }) != "no error");
    }
  }
}

TEST_CASE("every altered byte of a stored tensor is found by its checksum") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "x.pt";
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  write_torch_file(path, nullptr, "", {{"w", "F32", {6}, values.data(), 24}});
  const std::string good = read_file(path);
  const std::size_t begin = good.find(floats(values));
  REQUIRE(begin != std::string::npos);
  CHECK(begin % 64 == 0);
  for (std::size_t i = 0; i < 24; ++i) {
    std::string bad = good;
    bad[begin + i] ^= 0x10;
    write(path, bad);
    const TorchFile file(path);
    const TorchTensor tensor = file.root().at("w", "w").tensor("w");
    CHECK(error_of([&] { file.to_f32(tensor, "w"); }) ==
          path.string() + ": entry data/0 (w) is damaged: its checksum is wrong");
    // A view that does not reach the altered byte is not trusted either.
    TorchTensor part = tensor;
    part.shape = part.stride = {1};
    part.offset = i < 12 ? 5 : 0;
    CHECK_THROWS_AS(file.to_f32(part, "w"), Error);
  }
  std::string bad = good;
  bad[good.find("FloatStorage")] = 'f';
  write(path, bad);
  CHECK_THROWS_WITH(TorchFile(path), Contains("entry data.pkl is damaged: its checksum is wrong"));
}

TEST_CASE("views are read wherever they lie, in any order") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "x.pt";
  std::vector<float> values(200'000);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  write_zip(path, {{"x/data.pkl", tensor_pickle("FloatStorage", 200'000, 0, {200'000}, {1})},
                   {"x/data/0", floats(values)}});
  for (const int64_t first : {int64_t{0}, int64_t{1}, int64_t{70'001}, int64_t{199'999}}) {
    const TorchFile file(path);
    TorchTensor view = tensor_t(file);
    for (int again = 0; again < 3; ++again) {
      view.offset = first;
      view.shape = {1};
      CHECK(file.to_f32(view, "t") == std::vector<float>{values[static_cast<std::size_t>(first)]});
      view.shape = {2, 2};
      view.stride = {50'000, 1};
      view.offset = 7;
      CHECK(file.to_f32(view, "t") == std::vector<float>{7, 8, 50'007, 50'008});
      view.shape = {1};
      view.stride = {1};
    }
    CHECK(file.to_f32(tensor_t(file), "t") == values);
    view.shape = {0};
    CHECK(file.to_f32(view, "t").empty());
  }
}

TEST_CASE("sizes, strides and offsets must lie in the storage") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "x.pt";
  const std::string data = floats({1, 2, 3, 4, 5, 6});
  const auto outcome = [&](int64_t declared, int64_t offset, const std::vector<int64_t>& shape,
                           const std::vector<int64_t>& stride) {
    write_zip(path, {{"x/data.pkl", tensor_pickle("FloatStorage", declared, offset, shape, stride)},
                     {"x/data/0", data}});
    return error_of([&] {
      const TorchFile file(path);
      file.to_f32(tensor_t(file), "t");
    });
  };
  constexpr int64_t huge = INT64_MAX;
  CHECK(outcome(6, 0, {2, 3}, {3, 1}) == "no error");
  CHECK(outcome(6, 6, {0, 3}, {3, 1}) == "no error");
  CHECK(outcome(6, 5, {1, 1}, {huge, huge}) == "no error");  // strides that are never taken
  CHECK(outcome(6, 0, {1000}, {0}) == "no error");
  CHECK_THAT(outcome(6, 1, {2, 3}, {3, 1}), Contains("t: its sizes, strides and offset reach outside"));
  CHECK_THAT(outcome(6, 0, {2, 3}, {4, 1}), Contains("reach outside"));
  CHECK_THAT(outcome(6, 7, {0}, {1}), Contains("reach outside"));
  CHECK_THAT(outcome(6, huge, {1}, {1}), Contains("reach outside"));
  CHECK_THAT(outcome(6, 0, {2, 2}, {huge, huge}), Contains("reach outside"));
  CHECK_THAT(outcome(6, 0, {huge}, {1}), Contains("reach outside"));
  CHECK_THAT(outcome(6, 0, {huge}, {0}), Contains("elements out of a storage of 6; refused"));
  CHECK_THAT(outcome(6, 0, {huge, huge}, {0, 0}), Contains("more elements than can be counted"));
  CHECK_THAT(outcome(6, 0, {2}, {-1}), Contains("no counts"));
  CHECK_THAT(outcome(7, 0, {6}, {1}), Contains("storage 0 has 24 bytes, the pickle declares 28"));
  CHECK_THAT(outcome(5, 0, {5}, {1}), Contains("storage 0 has 24 bytes, the pickle declares 20"));
}

TEST_CASE("zip files that mean harm") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "x.pt";
  const std::string pickle = tensor_pickle("FloatStorage", 6, 0, {6}, {1});
  const std::string data = floats({1, 2, 3, 4, 5, 6});
  const auto open = [&] { return error_of([&] { const TorchFile file(path); }); };

  SECTION("deflated entries are read where they are no bombs") {
    const std::vector<float> zeros(4'000'000);
    write_zip(path, {{"x/data.pkl", pickle, true}, {"x/data/0", data, true}});
    const TorchFile file(path);
    for (int again = 0; again < 2; ++again)
      CHECK(file.to_f32(tensor_t(file), "t") == std::vector<float>{1, 2, 3, 4, 5, 6});
    write_zip(path, {{"x/data.pkl", tensor_pickle("FloatStorage", 4'000'000, 0, {1}, {1})},
                     {"x/data/0", floats(zeros), true}});
    const TorchFile bomb(path);
    CHECK_THROWS_WITH(bomb.to_f32(tensor_t(bomb), "t"),
                      Contains("data/0 (t) would inflate from") && Contains("refused"));
    write_zip(path, {{"x/data.pkl", std::string(100 << 20, ']'), true}});
    CHECK_THAT(open(), Contains("entry data.pkl has 104857600 bytes, more than 67108864"));
  }
  SECTION("a damaged deflated entry") {
    std::string noise(5000, '\0');
    Random random(1);
    for (char& c : noise) c = static_cast<char>(random.below(64));
    write_zip(path,
              {{"x/data.pkl", tensor_pickle("ByteStorage", 5000, 0, {1}, {1})}, {"x/data/0", noise, true}});
    std::string bytes = read_file(path);
    bytes[bytes.find("x/data/0") + 2000] ^= 1;
    write(path, bytes);
    const TorchFile file(path);
    CHECK_THROWS_WITH(file.to_bytes(tensor_t(file), "t"), Contains("entry data/0 (t) is damaged"));
  }
  SECTION("a storage that is not there") {
    write_zip(path, {{"x/data.pkl", pickle}});
    CHECK_THAT(open(), Contains("there is no entry data/0"));
  }
  SECTION("another byte order") {
    write_zip(path, {{"x/data.pkl", pickle}, {"x/byteorder", "big"}, {"x/data/0", data}});
    CHECK_THAT(open(), Contains("big-endian"));
  }
  SECTION("an entry twice") {
    write_zip(path, {{"x/data.pkl", pickle}, {"x/data/0", data}, {"x/data/1", data}});
    std::string bytes = read_file(path);
    for (std::size_t at = bytes.find("x/data/1"); at != std::string::npos; at = bytes.find("x/data/1"))
      bytes[at + 7] = '0';
    write(path, bytes);
    CHECK_THAT(open(), Contains("entry x/data/0 is there twice"));
  }
  SECTION("entries that lie on each other") {
    write_zip(
        path,
        {{"x/data.pkl", pickle}, {"x/data/0", std::string(600, 'a')}, {"x/data/1", std::string(600, 'b')}});
    std::string bytes = read_file(path);
    const std::size_t record = bytes.rfind("PK\x01\x02");
    for (const std::size_t field : {20, 24}) {  // both sizes of the last entry: all of the file
      const auto all = static_cast<uint32_t>(bytes.size());
      std::memcpy(bytes.data() + record + field, &all, sizeof all);
    }
    write(path, bytes);
    CHECK_THAT(open(), Contains("lies outside of the file or on another one"));
  }
  SECTION("a directory of more entries than it has room for") {
    std::string bytes = "PK\x03\x04";
    bytes.resize(64, '\0');
    std::string end("PK\x06\x06");
    end.resize(56, '\0');
    const uint64_t entries = uint64_t{1} << 32, offset = 64;
    std::memcpy(end.data() + 24, &entries, 8);
    std::memcpy(end.data() + 32, &entries, 8);
    std::string locator("PK\x06\x07");
    locator.resize(20, '\0');
    std::memcpy(locator.data() + 8, &offset, 8);
    std::string last("PK\x05\x06");
    last.resize(22, '\xff');
    write(path, bytes + end + locator + last);
    CHECK_THAT(open(), Contains("a directory of 4294967296 entries in 0 bytes"));
    write(
        path, bytes + std::string(20, '\0') + [&] {
          std::string ends;
          for (int i = 0; i < 40; ++i) ends += "PK\x05\x06" + std::string(18, '\0');
          return ends;
        }());
    CHECK_THAT(open(), Contains("it ends 17 times"));
  }
}

TEST_CASE("old files whose storages do not fit their pickle") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "x.pt";
  const auto legacy = [&](const std::string& system, const std::string& object, const std::string& keys,
                          const std::string& storages) {
    write(path, "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03." + system +
                    object + keys + storages);
    return error_of([&] {
      const TorchFile file(path);
      CHECK(file.to_f32(tensor_t(file), "t") == std::vector<float>{1, 2, 3, 4, 5, 6});
    });
  };
  const std::string little = fmt::format("}}{}\x88s.", text_op("little_endian")),
                    big = fmt::format("}}{}\x89s.", text_op("little_endian"));
  const std::string object = tensor_pickle("FloatStorage", 6, 0, {6}, {1});
  const std::string keys = "](" + text_op("0") + "e.", none = "].";
  const std::string data = std::string("\x06\0\0\0\0\0\0\0", 8) + floats({1, 2, 3, 4, 5, 6});
  CHECK(legacy(little, object, keys, data) == "no error");
  CHECK_THAT(legacy(big, object, keys, data), Contains("big-endian"));
  CHECK_THAT(legacy("}.", object, keys, data), Contains("big-endian"));
  CHECK_THAT(legacy(little, object, none, data), Contains("storage 0 is missing"));
  CHECK_THAT(legacy(little, object, "](" + text_op("1") + "e.", data),
             Contains("storage 1 belongs to no tensor"));
  CHECK_THAT(legacy(little, object, "](" + text_op("0") + text_op("0") + "e.", data + data),
             Contains("there twice"));
  CHECK_THAT(legacy(little, object, keys, data.substr(0, 31)), Contains("cut short within storage 0"));
  CHECK_THAT(legacy(little, object, keys, data.substr(0, 5)), Contains("cut short before storage 0"));
  CHECK_THAT(legacy(little, object, keys, std::string("\x07\0\0\0\0\0\0\0", 8) + data),
             Contains("has 7 elements"));
  CHECK_THAT(legacy(little, object, keys, std::string(8, '\xff') + data), Contains("has -1 elements"));
}

TEST_CASE("what is written comes back, and is the same every time") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "x.pt";
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  const std::vector<uint16_t> halves = {0x3c00, 0xc000};
  const std::vector<int64_t> whole = {-1, int64_t{1} << 40};
  const std::vector<TensorToWrite> tensors = {
      {"a", "F32", {2, 3}, values.data(), 24}, {"tied", "F32", {6}, values.data(), 24},
      {"h", "F16", {2, 1}, halves.data(), 4},  {"i", "I64", {2}, whole.data(), 16},
      {"none", "F32", {0, 3}, nullptr, 0},     {"scalar", "F32", {}, values.data() + 1, 4}};
  const Json plain = {
      {"cfg", {{"dim", 768}, {"big", -5'000'000'000}, {"rate", 0.1}, {"list", {1, true, "\u00e9", nullptr}}}},
      {"none", Json::array()},
      {"empty", Json::object()}};
  write_torch_file(path, plain, "model", tensors);
  const TorchFile file(path);
  Json read = plain_json(file.root());
  read.erase("model");
  CHECK(read == plain);
  const auto back = tensors_of(file.root().at("model", "m"), "m");
  CHECK(back.size() == tensors.size());
  for (const TensorToWrite& tensor : tensors) {
    const auto bytes = file.to_bytes(back.at(tensor.name), tensor.name);
    CHECK(back.at(tensor.name).dtype == tensor.dtype);
    CHECK(back.at(tensor.name).shape == tensor.shape);
    CHECK((bytes.size() == tensor.bytes &&
           std::equal(bytes.begin(), bytes.end(), static_cast<const std::byte*>(tensor.data))));
  }
  CHECK(back.at("a").storage == back.at("tied").storage);

  const std::string first = read_file(path);
  write_torch_file(path, plain, "model", tensors);
  CHECK(read_file(path) == first);
  write_torch_file(path, nullptr, "", {});
  CHECK(TorchFile(path).root().entries().empty());
}

TEST_CASE("what cannot be written is refused, and nothing is left") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "x.pt";
  const float value = 1;
  const auto refused = [&](const Json& plain, const std::string& key,
                           const std::vector<TensorToWrite>& tensors) {
    const std::string message = error_of([&] { write_torch_file(path, plain, key, tensors); });
    CHECK(std::filesystem::is_empty(folder.path()));
    return message;
  };
  const TensorToWrite good = {"a", "F32", {1}, &value, 4};
  CHECK_THAT(refused(nullptr, "", {good, good}), Contains("a: is there twice"));
  CHECK_THAT(refused(nullptr, "", {{"a", "F32", {2}, &value, 4}}),
             Contains("has 4 bytes, its shape wants 2"));
  CHECK_THAT(refused(nullptr, "", {{"a", "U64", {1}, &value, 8}}), Contains("dtype U64 cannot be written"));
  CHECK_THAT(refused({{"x", 1}}, "", {good}), Contains("need a key"));
  CHECK_THAT(refused({{"x", 1}}, "x", {good}), Contains("\"x\" is there twice"));
  CHECK_THAT(refused(Json::array(), "x", {good}), Contains("must be an object"));
  Json deep = 1;
  for (int i = 0; i < 300; ++i) deep = Json::array({deep});
  CHECK_THAT(refused({{"x", deep}}, "t", {good}), Contains("nested more than 200 deep"));
}

TEST_CASE("the checksum is zlib's") {
  Random random(2);
  std::string bytes(5000, '\0');
  for (char& c : bytes) c = static_cast<char>(random.below(256));
  for (int i = 0; i < 3000; ++i) {
    const std::size_t begin = random.below(300), size = random.below(i % 2 == 0 ? 200 : 4500);
    const auto before = static_cast<uint32_t>(random.below(uint64_t{1} << 32));
    const auto* at = reinterpret_cast<const Bytef*>(bytes.data()) + begin;
    REQUIRE(crc32_of(before, at, size) == crc32(before, at, static_cast<uInt>(size)));
    const uint32_t first = crc32_of(0, at, size / 3), second = crc32_of(0, at + size / 3, size - size / 3);
    REQUIRE(crc32_joined(first, second, size - size / 3) == crc32_of(0, at, size));
  }
}

TEST_CASE("no damaged byte of a checkpoint does more than be refused or read") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "x.pt";
  Random random(4);
  for (const std::string name : {"zip.pt", "zip-4.pt", "legacy-2.pt", "legacy-4.pt", "script.pt"}) {
    const std::string good = read_file(fixtures / name);
    for (int i = 0; i < 300; ++i) {
      std::string bytes = good;
      for (int k = 0; k < 4; ++k) bytes[random.below(bytes.size())] = static_cast<char>(random.below(256));
      write(path, bytes);
      error_of([&] { read_all(path); });
    }
  }
}
