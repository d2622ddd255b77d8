// Operators whose outcome at a place depends on the operands at that place alone.
#include <cmath>
#include <limits>
#include <type_traits>

#include "onnx/broadcast.h"
#include "onnx/operators.h"
#include "store/half.h"

namespace retort {
namespace {

constexpr int64_t values_at_least = 16384;  // of a thread's run: less is not worth handing over

// ---- Arithmetic on numbers, whole ones of which wrap around as they do in ONNX Runtime.

template <class T>
using Wide = std::conditional_t<std::is_floating_point_v<T>, T, uint64_t>;

struct Add {
  template <class T>
  T operator()(T a, T b) const {
    return static_cast<T>(static_cast<Wide<T>>(a) + static_cast<Wide<T>>(b));
  }
};
struct Subtract {
  template <class T>
  T operator()(T a, T b) const {
    return static_cast<T>(static_cast<Wide<T>>(a) - static_cast<Wide<T>>(b));
  }
};
struct Multiply {
  template <class T>
  T operator()(T a, T b) const {
    return static_cast<T>(static_cast<Wide<T>>(a) * static_cast<Wide<T>>(b));
  }
};
struct Divide {  // towards zero
  template <class T>
  T operator()(T a, T b) const {
    if constexpr (std::is_integral_v<T>) {
      if (b == 0) fail("division by zero");
      if constexpr (std::is_signed_v<T>)
        if (b == -1) return Subtract()(T{0}, a);
    }
    return static_cast<T>(a / b);
  }
};
struct Larger {  // NaN where either is
  template <class T>
  T operator()(T a, T b) const {
    return a > b || a != a ? a : b;  // NOLINT(misc-redundant-expression): that is how NaN is told
  }
};
struct Smaller {
  template <class T>
  T operator()(T a, T b) const {
    return a < b || a != a ? a : b;  // NOLINT(misc-redundant-expression)
  }
};
struct TruncatedRemainder {  // C's: of the sign of a
  template <class T>
  T operator()(T a, T b) const {
    if constexpr (std::is_floating_point_v<T>) return std::fmod(a, b);
    return Subtract()(a, Multiply()(Divide()(a, b), b));
  }
};
struct FlooredRemainder {  // Python's: of the sign of b
  template <class T>
  T operator()(T a, T b) const {
    if constexpr (std::is_floating_point_v<T>) fail("without fmod it is for whole numbers alone");
    const T rest = TruncatedRemainder()(a, b);
    return rest != 0 && (rest < 0) != (b < 0) ? static_cast<T>(rest + b) : rest;
  }
};
struct Power {
  template <class T>
  T operator()(T a, T b) const {
    if constexpr (!std::is_floating_point_v<T>)
      return static_cast<T>(std::pow(static_cast<double>(a), static_cast<double>(b)));
    else
      return b == 2 ? a * a : std::pow(a, b);
  }
};

// ---- Comparisons.

struct IsEqual {
  template <class T>
  bool operator()(T a, T b) const {
    return a == b;
  }
};
struct IsLess {
  template <class T>
  bool operator()(T a, T b) const {
    return a < b;
  }
};
struct IsLessOrEqual {
  template <class T>
  bool operator()(T a, T b) const {
    return a <= b;
  }
};
struct IsGreater {
  template <class T>
  bool operator()(T a, T b) const {
    return a > b;
  }
};
struct IsGreaterOrEqual {
  template <class T>
  bool operator()(T a, T b) const {
    return a >= b;
  }
};
struct Both {
  template <class T>
  bool operator()(T a, T b) const {
    return a != 0 && b != 0;
  }
};
struct Either {
  template <class T>
  bool operator()(T a, T b) const {
    return a != 0 || b != 0;
  }
};

// ---- Two operands.

void require_same_type(const OnnxTensor& a, const OnnxTensor& b) {
  if (a.type != b.type) fail("it has operands of {} and {}", to_string(a.type), to_string(b.type));
}

// out = operation(a, b) along a run; operands that do not move are read once.
template <class Operation, class T, class R>
void combine_run(const Operation& operation, const T* a, int64_t a_stride, const T* b, int64_t b_stride,
                 int64_t n, R* out) {
  if (a_stride == 1 && b_stride == 1) {
    for (int64_t i = 0; i < n; ++i) out[i] = operation(a[i], b[i]);
  } else if (a_stride == 1 && b_stride == 0) {
    const T right = *b;
    for (int64_t i = 0; i < n; ++i) out[i] = operation(a[i], right);
  } else if (a_stride == 0 && b_stride == 1) {
    const T left = *a;
    for (int64_t i = 0; i < n; ++i) out[i] = operation(left, b[i]);
  } else {
    for (int64_t i = 0; i < n; ++i) out[i] = operation(a[i * a_stride], b[i * b_stride]);
  }
}

// `out` has the operands' common shape, and may be one of them that has it too.
template <class Operation, class T, class R>
void combine(const OnnxCompute& compute, const OnnxShape& shape, const OnnxTensor& a,
             const OnnxShape& a_shape, const OnnxTensor& b, const OnnxShape& b_shape, std::vector<R>& out) {
  const Walk<2> walk(shape, {broadcast_strides(a_shape, shape), broadcast_strides(b_shape, shape)});
  const T* left = a.as<T>().data();
  const T* right = b.as<T>().data();
  compute.for_each_run(walk.count(), values_at_least, [&](int64_t begin, int64_t end) {
    walk.run(begin, end, [&](int64_t first, const auto& offsets, int64_t n) {
      combine_run(Operation(), left + offsets[0], walk.strides().back()[0], right + offsets[1],
                  walk.strides().back()[1], n, out.data() + first);
    });
  });
}

// Calls body(T{}) with the type that the tensor's values have in memory.
template <class Body>
void with_values_of(const OnnxTensor& tensor, const Body& body) {
  std::visit([&](const auto& values) { body(typename std::decay_t<decltype(values)>::value_type{}); },
             tensor.values);
}

// Written over an operand that is not needed any more and is as large as the outcome, if there is one.
template <class Operation>
OnnxTensor arithmetic_of(OperatorCall& call, std::size_t first, std::size_t second) {
  const OnnxTensor& a = call.input(first);
  const OnnxTensor& b = call.input(second);
  require_same_type(a, b);
  const OnnxShape shape = broadcast_shape(a.shape, b.shape);
  OnnxTensor out;
  with_values_of(a, [&](auto zero) {
    using T = decltype(zero);
    if (call.may_take(first) && a.shape == shape) {
      out = call.take(first);
      combine<Operation, T>(call.compute(), shape, out, shape, b, b.shape, out.as<T>());
    } else if (call.may_take(second) && b.shape == shape) {
      out = call.take(second);
      combine<Operation, T>(call.compute(), shape, a, a.shape, out, shape, out.as<T>());
    } else {
      out = OnnxTensor(a.type, shape);
      combine<Operation, T>(call.compute(), shape, a, a.shape, b, b.shape, out.as<T>());
    }
  });
  return out;
}

template <class Operation>
OnnxOutputs arithmetic(OperatorCall& call) {
  return arithmetic_of<Operation>(call, 0, 1);
}

template <class Operation>
OnnxOutputs comparison(OperatorCall& call) {
  const OnnxTensor& a = call.input(0);
  const OnnxTensor& b = call.input(1);
  require_same_type(a, b);
  OnnxTensor out(OnnxType::boolean, broadcast_shape(a.shape, b.shape));
  with_values_of(a, [&](auto zero) {
    using T = decltype(zero);
    combine<Operation, T>(call.compute(), out.shape, a, a.shape, b, b.shape, out.as<uint8_t>());
  });
  return out;
}

OnnxOutputs modulo(OperatorCall& call) {
  return call.integer("fmod", 0) != 0 ? arithmetic<TruncatedRemainder>(call)
                                      : arithmetic<FlooredRemainder>(call);
}

// Max and Min of one tensor or more.
template <class Operation>
OnnxOutputs extreme(OperatorCall& call) {
  if (call.inputs() == 1) return call.take(0);
  OnnxTensor out = arithmetic_of<Operation>(call, 0, 1);
  for (std::size_t i = 2; i < call.inputs(); ++i) {
    const OnnxTensor& next = call.input(i);
    require_same_type(out, next);
    OnnxTensor both(out.type, broadcast_shape(out.shape, next.shape));
    with_values_of(out, [&](auto zero) {
      using T = decltype(zero);
      combine<Operation, T>(call.compute(), both.shape, out, out.shape, next, next.shape, both.as<T>());
    });
    out = std::move(both);
  }
  return out;
}

OnnxTensor converted(const OnnxCompute& compute, const OnnxTensor& from, OnnxType type);

// The exponent may be of another type than the base.
OnnxOutputs power(OperatorCall& call) {
  const OnnxTensor& exponent = call.input(1);
  if (exponent.type == call.input(0).type) return arithmetic<Power>(call);
  const OnnxTensor same = converted(call.compute(), exponent, call.input(0).type);
  OnnxTensor base = call.take(0);
  OnnxTensor out(base.type, broadcast_shape(base.shape, same.shape));
  with_values_of(base, [&](auto zero) {
    using T = decltype(zero);
    combine<Power, T>(call.compute(), out.shape, base, base.shape, same, same.shape, out.as<T>());
  });
  return out;
}

// ---- One operand.

template <class T, class Operation>
void change(const OnnxCompute& compute, std::vector<T>& values, const Operation& operation) {
  compute.for_each_run(static_cast<int64_t>(values.size()), values_at_least, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      values[static_cast<size_t>(i)] = operation(values[static_cast<size_t>(i)]);
  });
}

template <float (*Function)(float)>
OnnxOutputs function(OperatorCall& call) {
  OnnxTensor x = call.take(0);
  change(call.compute(), x.as<float>(), [](float value) { return Function(value); });
  return x;
}

float error_function(float x) {
  return std::erf(x);
}
float natural_exponential(float x) {
  return std::exp(x);
}
float natural_logarithm(float x) {
  return std::log(x);
}
float square_root(float x) {
  return std::sqrt(x);
}
float hyperbolic_tangent(float x) {
  return std::tanh(x);
}
float logistic(float x) {
  return 1 / (1 + std::exp(-x));
}
float round_down(float x) {
  return std::floor(x);
}
float round_up(float x) {
  return std::ceil(x);
}
float round_half_to_even(float x) {
  return std::nearbyint(x);
}
float one_over(float x) {
  return 1 / x;
}

template <class Operation>
OnnxOutputs number_function(OperatorCall& call) {
  OnnxTensor x = call.take(0);
  std::visit([&](auto& values) { change(call.compute(), values, Operation()); }, x.values);
  return x;
}

struct Negative {
  template <class T>
  T operator()(T x) const {
    if constexpr (std::is_floating_point_v<T>) return -x;
    return Subtract()(T{0}, x);
  }
};
struct Magnitude {
  template <class T>
  T operator()(T x) const {
    if constexpr (std::is_floating_point_v<T>) return std::abs(x);
    return x < 0 ? Negative()(x) : x;
  }
};
struct Rectified {
  template <class T>
  T operator()(T x) const {
    return x < 0 ? T{0} : x;
  }
};
struct Sign {
  template <class T>
  T operator()(T x) const {
    return static_cast<T>((x > 0) - (x < 0));
  }
};

OnnxOutputs negation(OperatorCall& call) {
  OnnxTensor x = call.take(0);
  change(call.compute(), x.as<uint8_t>(), [](uint8_t value) { return static_cast<uint8_t>(value == 0); });
  return x;
}

// Bounds that were left out do not bound; where the lower one is above the upper, the upper one holds.
OnnxOutputs clip(OperatorCall& call) {
  OnnxTensor x = call.take(0);
  std::visit(
      [&](auto& values) {
        using T = typename std::decay_t<decltype(values)>::value_type;
        const auto bound = [&](std::size_t index, T otherwise) {
          return call.has(index) ? only_value<T>(call.input(index)) : otherwise;
        };
        const T lowest = bound(1, std::numeric_limits<T>::lowest());
        const T highest = bound(2, std::numeric_limits<T>::max());
        change(call.compute(), values, [&](T value) {
          const T raised = value < lowest ? lowest : value;
          return raised > highest ? highest : raised;
        });
      },
      x.values);
  return x;
}

// ---- Choices and types.

OnnxOutputs where(OperatorCall& call) {
  const OnnxTensor& condition = call.input(0);
  const OnnxTensor& a = call.input(1);
  const OnnxTensor& b = call.input(2);
  require_same_type(a, b);
  OnnxTensor out(a.type, broadcast_shape(condition.shape, broadcast_shape(a.shape, b.shape)));
  const Walk<3> walk(out.shape,
                     {broadcast_strides(condition.shape, out.shape), broadcast_strides(a.shape, out.shape),
                      broadcast_strides(b.shape, out.shape)});
  const auto strides = walk.strides().back();
  with_values_of(a, [&](auto zero) {
    using T = decltype(zero);
    call.compute().for_each_run(walk.count(), values_at_least, [&](int64_t begin, int64_t end) {
      walk.run(begin, end, [&](int64_t first, const auto& offsets, int64_t n) {
        const uint8_t* truth = condition.as<uint8_t>().data() + offsets[0];
        const T* left = a.as<T>().data() + offsets[1];
        const T* right = b.as<T>().data() + offsets[2];
        T* to = out.as<T>().data() + first;
        for (int64_t i = 0; i < n; ++i)
          to[i] = truth[i * strides[0]] ? left[i * strides[1]] : right[i * strides[2]];
      });
    });
  });
  return out;
}

// Numbers beyond the range of whole ones become its ends, and NaN the lower one.
template <class To, class From>
To convert(From value) {
  if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    if (!(value > static_cast<From>(std::numeric_limits<To>::min()))) return std::numeric_limits<To>::min();
    if (value >= static_cast<From>(std::numeric_limits<To>::max())) return std::numeric_limits<To>::max();
  }
  return static_cast<To>(value);
}

OnnxTensor converted(const OnnxCompute& compute, const OnnxTensor& from, OnnxType type) {
  OnnxTensor to(type, from.shape);
  const bool to_truth = type == OnnxType::boolean;
  std::visit(
      [&](const auto& values, auto& out) {
        using To = typename std::decay_t<decltype(out)>::value_type;
        compute.for_each_run(static_cast<int64_t>(out.size()), values_at_least,
                             [&](int64_t begin, int64_t end) {
                               for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i)
                                 out[i] = to_truth ? static_cast<To>(values[i] != 0) : convert<To>(values[i]);
                             });
      },
      from.values, to.values);
  return to;
}

OnnxOutputs cast(OperatorCall& call) {
  const OnnxType type = parse_onnx_type(static_cast<int>(call.integer("to", 0)));
  if (call.input(0).type == type) return call.take(0);
  return converted(call.compute(), call.input(0), type);
}

}  // namespace

OperatorTable elementwise_operators() {
  return {
      {"Abs", {number_function<Magnitude>}},
      {"Add", {arithmetic<Add>}},
      {"And", {comparison<Both>}},
      {"Cast", {cast, {"to"}}},
      {"Ceil", {function<round_up>}},
      {"Clip", {clip}},
      {"Div", {arithmetic<Divide>}},
      {"Equal", {comparison<IsEqual>}},
      {"Erf", {function<error_function>}},
      {"Exp", {function<natural_exponential>}},
      {"Floor", {function<round_down>}},
      {"Greater", {comparison<IsGreater>}},
      {"GreaterOrEqual", {comparison<IsGreaterOrEqual>}},
      {"Less", {comparison<IsLess>}},
      {"LessOrEqual", {comparison<IsLessOrEqual>}},
      {"Log", {function<natural_logarithm>}},
      {"Max", {extreme<Larger>}},
      {"Min", {extreme<Smaller>}},
      {"Mod", {modulo, {"fmod"}}},
      {"Mul", {arithmetic<Multiply>}},
      {"Neg", {number_function<Negative>}},
      {"Not", {negation}},
      {"Or", {comparison<Either>}},
      {"Pow", {power}},
      {"Reciprocal", {function<one_over>}},
      {"Relu", {number_function<Rectified>}},
      {"Round", {function<round_half_to_even>}},
      {"Sigmoid", {function<logistic>}},
      {"Sign", {number_function<Sign>}},
      {"Sqrt", {function<square_root>}},
      {"Sub", {arithmetic<Subtract>}},
      {"Tanh", {function<hyperbolic_tangent>}},
      {"Where", {where}},
  };
}

}  // namespace retort
