// Convolutions over time, in f32 and of whole numbers.
//
// A product wants rows of what goes into one output; over frames that lie one after the other, with the
// channels of each together, these rows are windows that overlap. Tensors of ONNX have it the other way
// round (channels, frames), so a few frames at a time are turned, multiplied and turned back.
#include "onnx/operators.h"
#include "onnx/packed_factors.h"
#include "onnx/strided_copy.h"

namespace retort {
namespace {

constexpr int64_t frames_at_once = 64;  // what a product keeps in the caches

struct Convolution {
  int64_t items = 0;         // of the batch
  int64_t in_channels = 0;   // of a group
  int64_t out_channels = 0;  // of a group
  int64_t groups = 1;
  int64_t in_frames = 0;
  int64_t out_frames = 0;
  int64_t kernel = 1;
  int64_t stride = 1;
  int64_t dilation = 1;
  int64_t before = 0;  // frames of zeros
};

int64_t only_one(const std::vector<int64_t>& values, int64_t otherwise) {
  if (values.size() > 1) fail("convolutions over more than time are not known here");
  return values.empty() ? otherwise : values.front();
}

// `weight` is (out channels, in channels of a group, kernel).
Convolution convolution_of(const OperatorCall& call, const OnnxShape& weight) {
  const OnnxShape& x = call.input(0).shape;
  if (x.size() != 3 || weight.size() != 3)
    fail("input {} and weight {} should have three axes", to_string(x), to_string(weight));
  if (call.text("auto_pad", "NOTSET") != "NOTSET") fail("auto_pad is not known here");
  Convolution c;
  c.groups = call.integer("group", 1);
  c.items = x[0];
  c.in_channels = weight[1];
  if (c.groups < 1 || weight[0] % c.groups != 0 || x[1] != c.groups * c.in_channels)
    fail("input {} and weight {} do not go together in {} groups", to_string(x), to_string(weight), c.groups);
  c.out_channels = weight[0] / c.groups;
  c.in_frames = x[2];
  c.kernel = weight[2];
  c.stride = only_one(call.integers("strides"), 1);
  c.dilation = only_one(call.integers("dilations"), 1);
  if (only_one(call.integers("kernel_shape"), c.kernel) != c.kernel)
    fail("kernel_shape is not that of the weight {}", to_string(weight));
  const std::vector<int64_t> pads = call.integers("pads");
  if (!pads.empty() && pads.size() != 2) fail("convolutions over more than time are not known here");
  c.before = pads.empty() ? 0 : pads[0];
  const int64_t padded = c.in_frames + (pads.empty() ? 0 : pads[0] + pads[1]);
  const int64_t window = (c.kernel - 1) * c.dilation + 1;
  if (c.stride < 1 || c.dilation < 1 || c.kernel < 1) fail("strides, dilations and kernels are 1 at least");
  if (padded < window) fail("{} frames are fewer than the kernel's {}", padded, window);
  c.out_frames = (padded - window) / c.stride + 1;
  return c;
}

// The weights of each group as columns of taps, with all channels of a tap together.
std::vector<float> taps_first(const OnnxCompute& compute, const float* weight, const OnnxShape& shape) {
  const int64_t channels = shape[1];
  const int64_t kernel = shape[2];
  std::vector<float> turned(static_cast<size_t>(value_count(shape)));
  copy_strided(compute, weight, {shape[0], kernel, channels}, {channels * kernel, 1, kernel}, turned.data());
  return turned;
}

FactorValues factors_of(const OnnxShape& shape, int64_t groups, const float* taps) {
  FactorValues from;
  from.values = taps;
  from.depth = shape[1] * shape[2];
  from.matrices = groups;
  from.columns = shape[0] / groups;
  from.column_stride = from.depth;
  from.depth_stride = 1;
  from.matrix_stride = from.columns * from.depth;
  return from;
}

// Copies frames first, first + step, ... of a group's channels to rows of `window`, zeros for those outside.
void turn_frames(const float* channels, const Convolution& c, int64_t first, int64_t step, int64_t count,
                 int64_t row_stride, float* window) {
  for (int64_t channel = 0; channel < c.in_channels; ++channel) {
    const float* from = channels + channel * c.in_frames;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t frame = first + i * step;
      window[i * row_stride + channel] = frame >= 0 && frame < c.in_frames ? from[frame] : 0.0f;
    }
  }
}

// What outputs [first, first + count) are products of, as rows. With a dilation, taps are picked apart.
FactorRows windows(const float* channels, const Convolution& c, int64_t first, int64_t count) {
  static thread_local std::vector<float> memory;
  FactorRows rows;
  rows.count = count;
  const int64_t start = first * c.stride - c.before;
  if (c.dilation == 1) {
    const int64_t frames = (count - 1) * c.stride + c.kernel;
    memory.resize(static_cast<size_t>(frames * c.in_channels));
    turn_frames(channels, c, start, 1, frames, c.in_channels, memory.data());
    rows.stride = c.stride * c.in_channels;
  } else {
    rows.stride = c.kernel * c.in_channels;
    memory.resize(static_cast<size_t>(count * rows.stride));
    for (int64_t tap = 0; tap < c.kernel; ++tap)
      turn_frames(channels, c, start + tap * c.dilation, c.stride, count, rows.stride,
                  memory.data() + tap * c.in_channels);
  }
  rows.values = memory.data();
  return rows;
}

// `x` is (items, in channels, in frames); T is float or, of exact factors, int32_t. `bias` may be null.
template <class T>
OnnxTensor convolve(const OperatorCall& call, const Convolution& c, const float* x,
                    const PackedFactors& factors, const float* bias) {
  OnnxTensor out(OnnxTypeOf<T>::type, {c.items, c.groups * c.out_channels, c.out_frames});
  T* const to = out.as<T>().data();
  const int64_t runs = (c.out_frames + frames_at_once - 1) / frames_at_once;
  call.compute().team.run(static_cast<size_t>(c.items * c.groups * runs), [&](std::size_t task) {
    static thread_local std::vector<T> sums;
    const int64_t first = static_cast<int64_t>(task) % runs * frames_at_once;
    const int64_t plane = static_cast<int64_t>(task) / runs;  // group of an item
    const int64_t group = plane % c.groups;
    const int64_t count = std::min(frames_at_once, c.out_frames - first);
    FactorRows rows = windows(x + plane * c.in_channels * c.in_frames, c, first, count);
    if (bias) rows.bias = bias + group * c.out_channels;
    sums.resize(static_cast<size_t>(count * c.out_channels));
    factors.multiply(call.path(), group, rows, sums.data(), c.out_channels);
    transpose_plane(sums.data(), c.out_channels, c.out_channels, count,
                    to + plane * c.out_channels * c.out_frames + first, c.out_frames);
  });
  return out;
}

OnnxOutputs conv(OperatorCall& call) {
  const auto& factors = call.prepared<PackedFactors>({1}, [&] {
    const OnnxTensor& weight = call.input(1);
    convolution_of(call, weight.shape);
    const std::vector<float> taps = taps_first(call.compute(), weight.as<float>().data(), weight.shape);
    return PackedFactors(call.compute(), factors_of(weight.shape, call.integer("group", 1), taps.data()),
                         weight.shape);
  });
  const Convolution c = convolution_of(call, factors.shape());
  if (call.has(2) && call.input(2).size() != factors.shape()[0]) fail("it has not a bias per channel");
  OnnxTensor out = convolve<float>(call, c, call.input(0).as<float>().data(), factors,
                                   call.has(2) ? call.input(2).as<float>().data() : nullptr);
  out.type = call.input(0).type;
  return out;
}

OnnxOutputs conv_integer(OperatorCall& call) {
  std::vector<std::size_t> of{1};
  if (call.inputs() > 3) of.push_back(3);
  const auto& factors = call.prepared<PackedFactors>(of, [&] {
    const OnnxShape& shape = call.input(1).shape;
    convolution_of(call, shape);
    if (call.has(3) && call.input(3).size() != 1 && call.input(3).size() != shape[0])
      fail("{} zero points for {} channels", call.input(3).size(), shape[0]);
    const std::vector<float> weight = without_zero_point(call, 1, 3, shape[1] * shape[2]);
    const std::vector<float> taps = taps_first(call.compute(), weight.data(), shape);
    return PackedFactors::exact(call.compute(), factors_of(shape, call.integer("group", 1), taps.data()),
                                shape);
  });
  if (call.has(2) && call.input(2).size() != 1) fail("several zero points of its input are not known here");
  const std::vector<float> x = without_zero_point(call, 0, 2, 1);
  return convolve<int32_t>(call, convolution_of(call, factors.shape()), x.data(), factors, nullptr);
}

}  // namespace

OperatorTable convolution_operators() {
  const std::set<std::string> attributes = {"auto_pad",     "dilations", "group",
                                            "kernel_shape", "pads",      "strides"};
  return {{"Conv", {conv, attributes}}, {"ConvInteger", {conv_integer, attributes}}};
}

}  // namespace retort
