#include "nn/torch_memory.h"

#include <torch/torch.h>

#include <catch2/catch.hpp>
#include <random>
#include <thread>
#include <vector>

using namespace retort;

namespace {

constexpr int64_t large = int64_t{1} << 20;  // values; four MiB

bool holds_only(const at::Tensor& tensor, float value) {
  return tensor.min().item<float>() == value && tensor.max().item<float>() == value;
}

}  // namespace

TEST_CASE("a large tensor lies where the last of its size lay") {
  keep_tensor_memory();
  const void* first = torch::empty({large}).data_ptr();
  CHECK(torch::empty({large}).data_ptr() == first);
  const at::Tensor held = torch::empty({large});
  CHECK(torch::empty({large}).data_ptr() != held.data_ptr());
}

TEST_CASE("neighbours that are free again make room for what is larger than each") {
  keep_tensor_memory();
  std::vector<at::Tensor> parts;
  for (int i = 0; i < 4; ++i) parts.push_back(torch::empty({large}));
  const void* first = parts.front().data_ptr();
  for (const std::size_t part : {2, 0, 3, 1}) parts[part] = at::Tensor();
  CHECK(torch::empty({4 * large}).data_ptr() == first);
}

TEST_CASE("tensors of any size keep their values while others come and go, in several threads") {
  keep_tensor_memory();
  const auto come_and_go = [](unsigned seed) {
    std::mt19937 random(seed);
    std::vector<std::pair<at::Tensor, float>> held;
    bool intact = true;
    for (int i = 0; i < 300; ++i) {
      if (held.size() > 8) {
        const std::size_t gone = random() % held.size();
        intact = intact && holds_only(held[gone].first, held[gone].second);
        held.erase(held.begin() + static_cast<long>(gone));
      }
      const auto value = static_cast<float>(random() % 1000);
      held.emplace_back(torch::full({1 + static_cast<int64_t>(random() % (2 * large))}, value), value);
    }
    for (const auto& [tensor, value] : held) intact = intact && holds_only(tensor, value);
    return intact;
  };
  std::vector<char> intact(3, 0);
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < intact.size(); ++i)
    threads.emplace_back([&, i] { intact[i] = static_cast<char>(come_and_go(i)); });
  for (std::thread& thread : threads) thread.join();
  for (const char thread : intact) CHECK(thread == 1);
}
