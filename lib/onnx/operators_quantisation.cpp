// Operators between real numbers and those in eight bits: x = (q - zero point) * scale.
#include <cmath>
#include <limits>

#include "onnx/operators.h"

namespace retort {
namespace {

constexpr int64_t values_at_least = 16384;  // of a thread's run

// Which scale a value has: one for all, or one for each place along an axis.
struct Scales {
  const std::vector<float>* scale = nullptr;
  std::vector<int32_t> zero;  // as many as scales
  int64_t inner = 1;          // values that follow each other with one scale

  // Calls body(first, last, place) for the runs of [begin, end) that have the scale at this place.
  template <class Body>
  void for_each_run(int64_t begin, int64_t end, const Body& body) const {
    while (begin < end) {
      const int64_t last = scale->size() == 1 ? end : std::min(end, (begin / inner + 1) * inner);
      body(static_cast<size_t>(begin), static_cast<size_t>(last),
           static_cast<size_t>(begin / inner) % scale->size());
      begin = last;
    }
  }
};

// Inputs 1 and 2 of a node, whose data have this shape.
Scales scales_of(const OperatorCall& call, const OnnxShape& shape) {
  Scales scales;
  scales.scale = &call.input(1).as<float>();
  scales.zero.assign(scales.scale->size(), 0);
  if (call.has(2))
    std::visit(
        [&](const auto& values) {
          if (values.size() != scales.zero.size())
            fail("{} zero points for {} scales", values.size(), scales.zero.size());
          std::transform(values.begin(), values.end(), scales.zero.begin(),
                         [](auto value) { return static_cast<int32_t>(value); });
        },
        call.input(2).values);
  if (scales.scale->size() == 1) return scales;
  const auto axes = static_cast<int64_t>(shape.size());
  const int64_t axis = axis_of(call.integer("axis", 1), axes);
  if (call.input(1).size() != shape[static_cast<size_t>(axis)])
    fail("{} scales for axis {} of {}", scales.scale->size(), axis, to_string(shape));
  scales.inner = sizes_between(shape, axis + 1, axes);
  return scales;
}

// Halves are rounded to even numbers, by adding and taking 1.5 * 2^23; what is far out of range is brought
// near before, and NaN becomes the lowest number.
template <class T>
T quantised(float value, float scale, float zero) {
  constexpr float far = 1024;
  constexpr float whole = 12582912;
  constexpr auto lowest = static_cast<float>(std::numeric_limits<T>::min());
  constexpr auto highest = static_cast<float>(std::numeric_limits<T>::max());
  float steps = value / scale;
  steps = steps > -far ? steps : -far;
  steps = steps < far ? steps : far;
  steps = (steps + whole) - whole + zero;
  steps = steps > lowest ? steps : lowest;
  return static_cast<T>(static_cast<int32_t>(steps < highest ? steps : highest));
}

// to[first .. last) of a run.
template <class T>
void quantise(const float* values, size_t first, size_t last, float scale, int32_t zero, T* to) {
  for (size_t i = first; i < last; ++i) to[i] = quantised<T>(values[i], scale, static_cast<float>(zero));
}

OnnxOutputs quantize_linear(OperatorCall& call) {
  const OnnxTensor& x = call.input(0);
  const Scales scales = scales_of(call, x.shape);
  OnnxTensor out(call.has(2) ? call.input(2).type : OnnxType::u8, x.shape);
  const std::vector<float>& values = x.as<float>();
  const auto fill = [&](auto& to) {
    using T = typename std::decay_t<decltype(to)>::value_type;
    call.compute().for_each_run(x.size(), values_at_least, [&](int64_t begin, int64_t end) {
      scales.for_each_run(begin, end, [&](size_t first, size_t last, size_t place) {
        quantise<T>(values.data(), first, last, (*scales.scale)[place], scales.zero[place], to.data());
      });
    });
  };
  if (out.type == OnnxType::i8)
    fill(out.as<int8_t>());
  else
    fill(out.as<uint8_t>());
  return out;
}

OnnxOutputs dequantize_linear(OperatorCall& call) {
  const OnnxTensor& x = call.input(0);
  const Scales scales = scales_of(call, x.shape);
  OnnxTensor out(OnnxType::f32, x.shape);
  std::vector<float>& to = out.as<float>();
  std::visit(
      [&](const auto& values) {
        call.compute().for_each_run(x.size(), values_at_least, [&](int64_t begin, int64_t end) {
          scales.for_each_run(begin, end, [&](size_t first, size_t last, size_t place) {
            const auto zero = static_cast<float>(scales.zero[place]);
            const float scale = (*scales.scale)[place];
            for (size_t i = first; i < last; ++i) to[i] = (static_cast<float>(values[i]) - zero) * scale;
          });
        });
      },
      x.values);
  return out;
}

// To uint8 by the range of all values, which is made to hold zero.
OnnxOutputs dynamic_quantize_linear(OperatorCall& call) {
  const OnnxTensor& x = call.input(0);
  const std::vector<float>& values = x.as<float>();
  float lowest = 0;
  float highest = 0;
  for (const float value : values) {
    lowest = std::min(lowest, value);
    highest = std::max(highest, value);
  }
  const float scale = highest == lowest ? 1.0f : (highest - lowest) / 255.0f;
  const auto zero = static_cast<uint8_t>(std::clamp(std::nearbyint(-lowest / scale), 0.0f, 255.0f));
  std::vector<uint8_t> quantised_values(values.size());
  call.compute().for_each_run(x.size(), values_at_least, [&](int64_t begin, int64_t end) {
    quantise<uint8_t>(values.data(), static_cast<size_t>(begin), static_cast<size_t>(end), scale, zero,
                      quantised_values.data());
  });
  OnnxOutputs outputs;
  outputs.tensors.emplace_back(x.shape, std::move(quantised_values));
  outputs.tensors.emplace_back(OnnxShape{}, std::vector<float>{scale});
  outputs.tensors.emplace_back(OnnxShape{}, std::vector<uint8_t>{zero});
  return outputs;
}

}  // namespace

std::vector<float> without_zero_point(const OperatorCall& call, std::size_t index, std::size_t zero_index,
                                      int64_t inner) {
  const OnnxTensor& x = call.input(index);
  std::vector<float> zeros{0};
  if (call.has(zero_index))
    std::visit([&](const auto& values) { zeros.assign(values.begin(), values.end()); },
               call.input(zero_index).values);
  std::vector<float> out(static_cast<size_t>(x.size()));
  const auto take = [&](const auto& values) {
    call.compute().for_each_run(x.size(), values_at_least, [&](int64_t begin, int64_t end) {
      if (zeros.size() == 1)
        for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i)
          out[i] = static_cast<float>(values[i]) - zeros.front();
      else
        for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i)
          out[i] = static_cast<float>(values[i]) - zeros[i / static_cast<size_t>(inner) % zeros.size()];
    });
  };
  if (x.type == OnnxType::i8)
    take(x.as<int8_t>());
  else
    take(x.as<uint8_t>());
  return out;
}

OperatorTable quantisation_operators() {
  return {
      {"DequantizeLinear", {dequantize_linear, {"axis"}}},
      {"DynamicQuantizeLinear", {dynamic_quantize_linear}},
      {"QuantizeLinear", {quantize_linear, {"axis"}}},
  };
}

}  // namespace retort
