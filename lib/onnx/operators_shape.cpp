// Operators that move values about, and those that say or make shapes.
#include <cmath>
#include <cstring>
#include <numeric>
#include <optional>

#include "onnx/operators.h"
#include "onnx/strided_copy.h"

namespace retort {
namespace {

OnnxTensor list_of(std::vector<int64_t> values) {
  OnnxShape shape{static_cast<int64_t>(values.size())};
  return OnnxTensor(std::move(shape), std::move(values));
}

// ---- The same values in the same order.

OnnxOutputs identity(OperatorCall& call) {
  return call.take(0);
}

OnnxTensor with_shape(OnnxTensor tensor, OnnxShape shape) {
  if (value_count(shape) != tensor.size())
    fail("a tensor of shape {} cannot become one of shape {}", to_string(tensor.shape), to_string(shape));
  tensor.shape = std::move(shape);
  return tensor;
}

// 0 keeps the size of the same axis, -1 (once) is what the others leave.
OnnxOutputs reshape(OperatorCall& call) {
  const OnnxTensor& x = call.input(0);
  OnnxShape shape = call.integers(1);
  std::optional<size_t> open;
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    if (shape[axis] == 0 && call.integer("allowzero", 0) == 0) {
      if (axis >= x.shape.size()) fail("there is no axis {} in {} to copy", axis, to_string(x.shape));
      shape[axis] = x.shape[axis];
    } else if (shape[axis] == -1) {
      if (open) fail("two sizes of {} are to be found out", to_string(shape));
      open = axis;
    }
  }
  if (open) {
    shape[*open] = 1;
    const int64_t others = value_count(shape);
    if (others > 0) shape[*open] = x.size() / others;
  }
  return with_shape(call.take(0), std::move(shape));
}

OnnxOutputs squeeze(OperatorCall& call) {
  const OnnxShape& shape = call.input(0).shape;
  std::vector<bool> leaves(shape.size(), false);
  for (const int64_t axis : call.integers(1)) {
    const auto at = static_cast<size_t>(axis_of(axis, call.input(0).axes()));
    if (shape[at] != 1) fail("axis {} of {} is not of size 1", axis, to_string(shape));
    leaves[at] = true;
  }
  OnnxShape rest;
  for (size_t axis = 0; axis < shape.size(); ++axis)
    if (call.has(1) ? !leaves[axis] : shape[axis] != 1) rest.push_back(shape[axis]);
  return with_shape(call.take(0), std::move(rest));
}

// Axes are those of the outcome.
OnnxOutputs unsqueeze(OperatorCall& call) {
  const std::vector<int64_t> axes = call.integers(1);
  OnnxShape shape(call.input(0).shape.size() + axes.size(), 0);
  for (const int64_t axis : axes) {
    int64_t& size = shape[static_cast<size_t>(axis_of(axis, static_cast<int64_t>(shape.size())))];
    if (size == 1) fail("axis {} is named twice", axis);
    size = 1;
  }
  auto next = call.input(0).shape.begin();
  for (int64_t& size : shape)
    if (size == 0) size = *next++;
  return with_shape(call.take(0), std::move(shape));
}

// ---- The same values in another order, or some of them.

OnnxOutputs transpose(OperatorCall& call) {
  const OnnxTensor& x = call.input(0);
  std::vector<int64_t> perm = call.integers("perm");
  if (perm.empty())
    for (int64_t axis = x.axes(); axis-- > 0;) perm.push_back(axis);
  std::vector<int64_t> sorted = perm;
  std::sort(sorted.begin(), sorted.end());
  for (size_t axis = 0; axis < sorted.size(); ++axis)
    if (sorted.size() != x.shape.size() || sorted[axis] != static_cast<int64_t>(axis))
      fail("perm {} is no order of the axes of {}", to_string(perm), to_string(x.shape));
  return transposed(call.compute(), x, perm);
}

OnnxOutputs expand(OperatorCall& call) {
  const OnnxShape shape = broadcast_shape(call.input(0).shape, call.integers(1));
  if (shape == call.input(0).shape) return call.take(0);
  return strided_copy(call.compute(), call.input(0), 0, shape, broadcast_strides(call.input(0).shape, shape));
}

// Which places of an axis a slice takes.
struct Places {
  int64_t first = 0;
  int64_t step = 1;
  int64_t count = 0;
};

// Ends are clamped to the axis, as ONNX says; counted from its end where they are negative.
Places places_of(int64_t start, int64_t end, int64_t step, int64_t size) {
  if (step == 0) fail("a step of 0");
  const int64_t lowest = step > 0 ? 0 : -1;
  const int64_t highest = step > 0 ? size : size - 1;
  if (start < 0) start += size;
  if (end < 0) end += size;
  start = std::clamp(start, int64_t{0}, std::max(highest, int64_t{0}));
  end = std::clamp(end, lowest, std::max(highest, lowest));
  const int64_t way = step > 0 ? end - start : start - end;
  if (way <= 0 || size == 0) return {};
  const int64_t stride = step > 0 ? step : step == std::numeric_limits<int64_t>::min() ? way : -step;
  return {start, step, (way - 1) / stride + 1};
}

OnnxOutputs slice(OperatorCall& call) {
  const OnnxTensor& x = call.input(0);
  const std::vector<int64_t> starts = call.integers(1);
  const std::vector<int64_t> ends = call.integers(2);
  std::vector<int64_t> axes = call.integers(3);
  std::vector<int64_t> steps = call.integers(4);
  if (!call.has(3)) {
    axes.resize(starts.size());
    std::iota(axes.begin(), axes.end(), 0);
  }
  if (!call.has(4)) steps.assign(starts.size(), 1);
  if (ends.size() != starts.size() || axes.size() != starts.size() || steps.size() != starts.size())
    fail("starts, ends, axes and steps are not equally many");
  OnnxShape shape = x.shape;
  std::vector<int64_t> strides = row_major_strides(x.shape);
  int64_t offset = 0;
  for (size_t i = 0; i < starts.size(); ++i) {
    const auto axis = static_cast<size_t>(axis_of(axes[i], x.axes()));
    const Places places = places_of(starts[i], ends[i], steps[i], x.shape[axis]);
    shape[axis] = places.count;
    offset += places.first * strides[axis];
    if (places.count > 1) strides[axis] *= places.step;
  }
  if (shape == x.shape && offset == 0) return call.take(0);
  return strided_copy(call.compute(), x, offset, shape, strides);
}

OnnxOutputs split(OperatorCall& call) {
  const OnnxTensor& x = call.input(0);
  const auto axis = static_cast<size_t>(axis_of(call.integer("axis", 0), x.axes()));
  const auto parts = static_cast<int64_t>(call.outputs());
  std::vector<int64_t> sizes = call.integers(1);
  if (!call.has(1)) sizes.assign(call.outputs(), x.shape[axis] / parts);
  if (sizes.size() != call.outputs() ||
      std::accumulate(sizes.begin(), sizes.end(), int64_t{0}) != x.shape[axis])
    fail("{} of {} cannot be split into {} parts of {}", x.shape[axis], to_string(x.shape), parts,
         to_string(sizes));
  OnnxOutputs outputs;
  OnnxShape shape = x.shape;
  const std::vector<int64_t> strides = row_major_strides(x.shape);
  int64_t first = 0;
  for (const int64_t size : sizes) {
    shape[axis] = size;
    value_count(shape);  // refuses a negative one
    outputs.tensors.push_back(strided_copy(call.compute(), x, first * strides[axis], shape, strides));
    first += size;
  }
  return outputs;
}

OnnxOutputs concat(OperatorCall& call) {
  OnnxShape shape = call.input(0).shape;
  const int64_t axis = axis_of(call.integer("axis", 0), call.input(0).axes());
  int64_t& length = shape[static_cast<size_t>(axis)];
  for (std::size_t i = 1; i < call.inputs(); ++i) {
    const OnnxTensor& next = call.input(i);
    OnnxShape others = next.shape;
    if (others.size() == shape.size()) others[static_cast<size_t>(axis)] = length;
    if (others != shape || next.type != call.input(0).type)
      fail("{} of {} and {} of {} cannot be joined at axis {}", to_string(call.input(0).type),
           to_string(call.input(0).shape), to_string(next.type), to_string(next.shape), axis);
    length += next.shape[static_cast<size_t>(axis)];
  }
  OnnxTensor out(call.input(0).type, shape);
  const int64_t outer = sizes_between(shape, 0, axis);
  const int64_t width = sizes_between(shape, axis, out.axes());
  std::visit(
      [&](auto& values) {
        using T = typename std::decay_t<decltype(values)>::value_type;
        int64_t at = 0;
        for (std::size_t i = 0; i < call.inputs(); ++i) {
          const T* from = call.input(i).template as<T>().data();
          const int64_t part = sizes_between(call.input(i).shape, axis, out.axes());
          for (int64_t row = 0; row < outer; ++row)
            std::copy_n(from + row * part, part, values.data() + row * width + at);
          at += part;
        }
      },
      out.values);
  return out;
}

OnnxOutputs gather(OperatorCall& call) {
  const OnnxTensor& x = call.input(0);
  const std::vector<int64_t> indices = call.integers(1);
  const int64_t axis = axis_of(call.integer("axis", 0), x.axes());
  const int64_t size = x.shape[static_cast<size_t>(axis)];
  const OnnxShape& where = call.input(1).shape;
  OnnxShape shape(x.shape.begin(), x.shape.begin() + axis);
  shape.insert(shape.end(), where.begin(), where.end());
  shape.insert(shape.end(), x.shape.begin() + axis + 1, x.shape.end());
  OnnxTensor out(x.type, shape);
  const int64_t outer = sizes_between(x.shape, 0, axis);
  const int64_t width = sizes_between(x.shape, axis + 1, x.axes());
  std::visit(
      [&](auto& values) {
        using T = typename std::decay_t<decltype(values)>::value_type;
        const T* from = x.as<T>().data();
        T* to = values.data();
        for (int64_t row = 0; row < outer; ++row)
          for (const int64_t index : indices) {
            const int64_t place = index < 0 ? index + size : index;
            if (place < 0 || place >= size)
              fail("index {} is beyond axis {} of {}", index, axis, to_string(x.shape));
            to = std::copy_n(from + (row * size + place) * width, width, to);
          }
      },
      out.values);
  return out;
}

// Along one axis, for indices (all sizes but that of the axis are the data's or smaller).
OnnxOutputs gather_elements(OperatorCall& call) {
  const OnnxTensor& x = call.input(0);
  const std::vector<int64_t> indices = call.integers(1);
  const auto axis = static_cast<size_t>(axis_of(call.integer("axis", 0), x.axes()));
  OnnxTensor out(x.type, call.input(1).shape);
  if (out.axes() != x.axes()) fail("data have {} axes, indices {}", x.axes(), out.axes());
  std::vector<int64_t> strides = row_major_strides(x.shape);
  const int64_t along = strides[axis];
  strides[axis] = 0;
  for (size_t i = 0; i < x.shape.size(); ++i)
    if (i != axis && out.shape[i] > x.shape[i])
      fail("indices {} are beyond data {}", to_string(out.shape), to_string(x.shape));
  const Walk<1> walk(out.shape, {strides});
  std::visit(
      [&](auto& values) {
        using T = typename std::decay_t<decltype(values)>::value_type;
        walk.run(0, walk.count(), [&](int64_t first, const auto& offsets, int64_t n) {
          for (int64_t i = 0; i < n; ++i) {
            int64_t place = indices[static_cast<size_t>(first + i)];
            if (place < 0) place += x.shape[axis];
            if (place < 0 || place >= x.shape[axis]) fail("index {} is beyond axis {}", place, axis);
            const int64_t at = offsets[0] + i * walk.strides().back()[0] + place * along;
            values[static_cast<size_t>(first + i)] = x.as<T>()[static_cast<size_t>(at)];
          }
        });
      },
      out.values);
  return out;
}

// Negative pads take values away.
OnnxOutputs pad(OperatorCall& call) {
  const OnnxTensor& x = call.input(0);
  if (call.text("mode", "constant") != "constant") fail("mode {} is not known here", call.text("mode", ""));
  const std::vector<int64_t> pads = call.integers(1);
  const size_t axes = x.shape.size();
  if (pads.size() != 2 * axes) fail("{} pads for {} axes", pads.size(), axes);
  OnnxShape shape = x.shape;
  OnnxShape kept = x.shape;
  const std::vector<int64_t> strides = row_major_strides(x.shape);
  int64_t offset = 0;
  for (size_t axis = 0; axis < axes; ++axis) {
    const int64_t before = pads[axis];
    const int64_t after = pads[axis + axes];
    shape[axis] += before + after;
    kept[axis] += std::min(before, int64_t{0}) + std::min(after, int64_t{0});
    offset += std::max(-before, int64_t{0}) * strides[axis];
  }
  OnnxTensor out(x.type, shape);
  const OnnxTensor inside = strided_copy(call.compute(), x, offset, kept, strides);
  const std::vector<int64_t> to_strides = row_major_strides(shape);
  int64_t to_offset = 0;
  for (size_t axis = 0; axis < axes; ++axis) to_offset += std::max(pads[axis], int64_t{0}) * to_strides[axis];
  const Walk<1> walk(kept, {to_strides});
  std::visit(
      [&](auto& values) {
        using T = typename std::decay_t<decltype(values)>::value_type;
        if (call.has(2)) std::fill(values.begin(), values.end(), only_value<T>(call.input(2)));
        const T* from = inside.as<T>().data();
        walk.run(0, walk.count(), [&](int64_t first, const auto& offsets, int64_t n) {
          const int64_t stride = walk.strides().back()[0];
          T* to = values.data() + to_offset + offsets[0];
          for (int64_t i = 0; i < n; ++i) to[i * stride] = from[first + i];
        });
      },
      out.values);
  return out;
}

// ---- Values out of nothing.

OnnxOutputs constant(OperatorCall& call) {
  using Attribute = onnx::AttributeProto;
  if (const Attribute* value = call.attribute("value", Attribute::TENSOR))
    return read_onnx_tensor(value->t(), {});
  if (call.attribute("value_int", Attribute::INT))
    return OnnxTensor({}, std::vector<int64_t>{call.integer("value_int", 0)});
  if (call.attribute("value_float", Attribute::FLOAT))
    return OnnxTensor({}, std::vector<float>{call.real("value_float", 0)});
  if (call.attribute("value_ints", Attribute::INTS)) return list_of(call.integers("value_ints"));
  const std::vector<float> values = call.reals("value_floats");
  return OnnxTensor({static_cast<int64_t>(values.size())}, values);
}

OnnxOutputs constant_of_shape(OperatorCall& call) {
  const onnx::AttributeProto* value = call.attribute("value", onnx::AttributeProto::TENSOR);
  const OnnxTensor one = value ? read_onnx_tensor(value->t(), {}) : OnnxTensor(OnnxType::f32, OnnxShape{1});
  if (one.size() != 1) fail("its value should be a single one");
  OnnxTensor out(one.type, call.integers(0));
  std::visit(
      [&](auto& values) {
        using T = typename std::decay_t<decltype(values)>::value_type;
        std::fill(values.begin(), values.end(), one.as<T>().front());
      },
      out.values);
  return out;
}

OnnxOutputs shape_of(OperatorCall& call) {
  const OnnxShape& shape = call.input(0).shape;
  const int64_t axes = call.input(0).axes();
  const auto place = [&](int64_t axis) {
    return std::clamp(axis < 0 ? axis + axes : axis, int64_t{0}, axes);
  };
  const int64_t start = place(call.integer("start", 0));
  const int64_t end = std::max(start, place(call.integer("end", axes)));
  return list_of({shape.begin() + start, shape.begin() + end});
}

template <class T>
std::vector<T> numbers_from(T start, T limit, T delta) {
  if (delta == 0) fail("a step of 0");
  const double count =
      std::ceil((static_cast<double>(limit) - static_cast<double>(start)) / static_cast<double>(delta));
  if (!(count < 1e12)) fail("from {} to {} by {} is no list of numbers", start, limit, delta);
  std::vector<T> values(static_cast<size_t>(std::max(count, 0.0)));
  for (size_t i = 0; i < values.size(); ++i) values[i] = start + static_cast<T>(i) * delta;
  return values;
}

OnnxOutputs range(OperatorCall& call) {
  OnnxTensor out;
  std::visit(
      [&](const auto& starts) {
        using T = typename std::decay_t<decltype(starts)>::value_type;
        if constexpr (sizeof(T) == 1) {
          fail("ranges of {} are not known here", to_string(call.input(0).type));
        } else {
          auto numbers = numbers_from<T>(only_value<T>(call.input(0)), only_value<T>(call.input(1)),
                                         only_value<T>(call.input(2)));
          OnnxShape shape{static_cast<int64_t>(numbers.size())};
          out = OnnxTensor(std::move(shape), std::move(numbers));
        }
      },
      call.input(0).values);
  return out;
}

}  // namespace

OperatorTable shape_operators() {
  return {
      {"Concat", {concat, {"axis"}}},
      {"Constant", {constant, {"value", "value_float", "value_floats", "value_int", "value_ints"}}},
      {"ConstantOfShape", {constant_of_shape, {"value"}}},
      {"Expand", {expand}},
      {"Gather", {gather, {"axis"}}},
      {"GatherElements", {gather_elements, {"axis"}}},
      {"Identity", {identity}},
      {"Pad", {pad, {"mode"}}},
      {"Range", {range}},
      {"Reshape", {reshape, {"allowzero"}}},
      {"Shape", {shape_of, {"start", "end"}}},
      {"Slice", {slice}},
      {"Split", {split, {"axis"}}},
      {"Squeeze", {squeeze}},
      {"Transpose", {transpose, {"perm"}}},
      {"Unsqueeze", {unsqueeze}},
  };
}

}  // namespace retort
