#include "store/safetensors.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/random.h"

using namespace retort;

namespace {

std::string file_bytes(const std::string& header, std::size_t data_bytes) {
  const uint64_t length = header.size();
  std::string bytes(reinterpret_cast<const char*>(&length), sizeof length);
  return bytes + header + std::string(data_bytes, '\0');
}

void write(const std::filesystem::path& path, const std::string& bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

}  // namespace

TEST_CASE("tensors come back as they were written, in the reference writer's order") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "m.safetensors";
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  const std::vector<uint16_t> halves = {0x3c00, 0xc000};
  const float scalar = 7;
  write_safetensors(path, {{"b", "F16", {2}, halves.data(), 4},
                           {"z", "F32", {2, 3}, values.data(), 24},
                           {"a", "F32", {}, &scalar, 4},
                           {"empty", "F32", {0, 5}, nullptr, 0}});
  const SafetensorsFile file(path);
  CHECK(file.tensors().size() == 4);
  CHECK(file.metadata().at("format") == "pt");
  CHECK(file.tensors().at("z").to_f32("z") == values);
  CHECK(file.tensors().at("b").to_f32("b") == std::vector<float>{1, -2});
  CHECK(file.tensors().at("a").to_f32("a") == std::vector<float>{7});
  CHECK(file.tensors().at("empty").count() == 0);
  CHECK(file.tensors().at("a").data < file.tensors().at("z").data);
  CHECK(file.tensors().at("z").data < file.tensors().at("b").data);
}

TEST_CASE("bytes asked for one tensor after another make the same file") {
  const TemporaryFolder folder;
  const std::vector<float> values = {1, 2, 3};
  const std::vector<uint16_t> halves = {0x3c00, 0xc000};
  std::vector<TensorToWrite> tensors = {{"h", "F16", {2}, halves.data(), 4},
                                        {"c", "F32", {1}, &values[2], 4},
                                        {"a", "F32", {2}, values.data(), 8}};
  write_safetensors(folder.path() / "whole", tensors);
  std::map<std::string, const void*> held;
  for (TensorToWrite& tensor : tensors) held[tensor.name] = std::exchange(tensor.data, nullptr);
  std::vector<std::string> asked;
  write_safetensors(folder.path() / "asked", tensors, [&](const TensorToWrite& tensor) {
    asked.push_back(tensor.name);
    return held.at(tensor.name);
  });
  CHECK(asked == std::vector<std::string>{"a", "c", "h"});
  CHECK(read_file(folder.path() / "asked") == read_file(folder.path() / "whole"));
}

TEST_CASE("what the reference reader refuses is refused") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "m.safetensors";
  const auto refused = [&](const std::string& header, std::size_t bytes) {
    CAPTURE(header);
    write(path, file_bytes(header, bytes));
    CHECK_THROWS_AS(SafetensorsFile(path), Error);
  };
  const std::string a = R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]})";
  write(path, file_bytes("{" + a + "}", 8));
  CHECK_NOTHROW(SafetensorsFile(path));
  refused("{" + a + "}", 7);                                                             // cut short
  refused("{" + a + "}", 9);                                                             // a hole at the end
  refused("{" + a + "," + a + "}", 8);                                                   // a name twice
  refused("{" + a + R"(,"b":{"dtype":"F32","shape":[1],"data_offsets":[12,16]}})", 16);  // a hole
  refused("{" + a + R"(,"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 8);     // an overlap
  refused(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8);   // shape against bytes
  refused(R"({"a":{"dtype":"F31","shape":[2],"data_offsets":[0,8]}})", 8);   // unknown dtype
  refused(R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", 8);  // negative
  refused(R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}})", 0);  // overflow
  refused(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", 8);                      // backwards
  refused("[1]", 0);
  refused("{", 0);
  write(path, std::string("\xff\xff\xff\xff\xff\xff\xff\x7f", 8) + "{}");
  CHECK_THROWS_AS(SafetensorsFile(path), Error);
}

TEST_CASE("no damaged byte of a header does more than be refused or read") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "m.safetensors";
  const std::string good = file_bytes(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8);
  Random random(3);
  for (int i = 0; i < 2000; ++i) {
    std::string damaged = good;
    damaged[random.below(damaged.size() - 8)] = static_cast<char>(random.below(256));
    write(path, damaged);
    try {
      const SafetensorsFile file(path);
      CHECK(file.tensors().size() <= 1);
    } catch (const Error&) {
      continue;
    }
  }
}
