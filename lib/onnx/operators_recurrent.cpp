// LSTM. Products with the inputs of all steps are computed together; those with the last outputs step by
// step, for a few items of the batch at a time.
#include "kernels/product.h"
#include "kernels/row_kernels.h"
#include "onnx/operators.h"

namespace retort {
namespace {

constexpr int64_t gates_per_unit = 4;
constexpr int64_t items_in_step = 8;  // as many rows as a product's kernels take at once
constexpr int64_t rows_at_once = 64;

struct LstmWeights {
  struct Direction {
    PackedMatrix input, recurrent;
    std::vector<float> bias;  // both of them
  };
  int64_t inputs = 0;
  int64_t units = 0;
  std::vector<Direction> directions;

  int64_t gates() const { return gates_per_unit * units; }
};

// From ONNX's order of gates (input, output, forget, cell) to that of the kernels (input, forget, cell,
// output); `width` values per unit.
std::vector<float> reordered(const float* values, int64_t units, int64_t width) {
  std::vector<float> turned;
  for (const int64_t gate : {0, 2, 3, 1})
    turned.insert(turned.end(), values + gate * units * width, values + (gate + 1) * units * width);
  return turned;
}

std::vector<float> sum_of_biases(const float* biases, int64_t units) {
  std::vector<float> sum = reordered(biases, units, 1);
  const std::vector<float> more = reordered(biases + gates_per_unit * units, units, 1);
  for (size_t i = 0; i < sum.size(); ++i) sum[i] += more[i];
  return sum;
}

void require_shape(const OnnxTensor& tensor, const OnnxShape& shape, const char* what) {
  if (tensor.shape != shape)
    fail("{} is {}, it should be {}", what, to_string(tensor.shape), to_string(shape));
}

// W (directions, 4 units, inputs), R (directions, 4 units, units), B (directions, 8 units).
LstmWeights pack_weights(const OperatorCall& call) {
  const OnnxTensor& w = call.input(1);
  if (w.axes() != 3 || w.shape[1] % gates_per_unit != 0) fail("W cannot be {}", to_string(w.shape));
  LstmWeights weights;
  weights.inputs = w.shape[2];
  weights.units = w.shape[1] / gates_per_unit;
  const int64_t gates = weights.gates();
  require_shape(call.input(2), {w.shape[0], gates, weights.units}, "R");
  if (call.has(3)) require_shape(call.input(3), {w.shape[0], 2 * gates}, "B");
  for (int64_t d = 0; d < w.shape[0]; ++d) {
    const std::vector<float> input =
        reordered(w.as<float>().data() + d * gates * weights.inputs, weights.units, weights.inputs);
    const std::vector<float> recurrent =
        reordered(call.input(2).as<float>().data() + d * gates * weights.units, weights.units, weights.units);
    LstmWeights::Direction& direction = weights.directions.emplace_back();
    direction.input = PackedMatrix(input.data(), weights.inputs, gates, Precision::f32);
    direction.recurrent = PackedMatrix(recurrent.data(), weights.units, gates, Precision::f32);
    direction.bias.assign(static_cast<size_t>(gates), 0);
    if (call.has(3))
      direction.bias = sum_of_biases(call.input(3).as<float>().data() + d * 2 * gates, weights.units);
  }
  return weights;
}

// What one node computes.
struct Recurrence {
  const LstmWeights& weights;
  int64_t steps = 0;
  int64_t items = 0;
  std::vector<int64_t> lengths;  // of items
  std::vector<float> gates;      // (directions, steps, items, gates): of the inputs
  OnnxTensor outputs;            // (steps, directions, items, units)
  OnnxTensor last, cells;        // (directions, items, units)
};

std::vector<int64_t> lengths_of(const OperatorCall& call, int64_t steps, int64_t items) {
  std::vector<int64_t> lengths = call.integers(4);
  if (!call.has(4)) lengths.assign(static_cast<size_t>(items), steps);
  if (static_cast<int64_t>(lengths.size()) != items) fail("{} lengths for {} items", lengths.size(), items);
  for (const int64_t length : lengths)
    if (length < 0 || length > steps) fail("a length of {} in {} steps", length, steps);
  return lengths;
}

OnnxTensor initial_state(const OperatorCall& call, std::size_t index, const OnnxShape& shape) {
  if (!call.has(index)) return OnnxTensor(OnnxType::f32, shape);
  require_shape(call.input(index), shape, "an initial state");
  OnnxTensor state(OnnxType::f32, shape);
  state.as<float>() = call.input(index).as<float>();
  return state;
}

// One direction: the gates of all steps and items.
void multiply_inputs(const OperatorCall& call, const std::vector<float>& x, int64_t direction,
                     Recurrence& recurrence) {
  const LstmWeights& weights = recurrence.weights;
  const int64_t rows = recurrence.steps * recurrence.items;
  const LstmWeights::Direction& of = weights.directions[static_cast<size_t>(direction)];
  const auto runs = static_cast<size_t>((rows + rows_at_once - 1) / rows_at_once);
  call.compute().team.run(runs, [&](std::size_t run) {
    const int64_t first = static_cast<int64_t>(run) * rows_at_once;
    Product product;
    product.rows = x.data() + first * weights.inputs;
    product.row_stride = weights.inputs;
    product.count = std::min(rows_at_once, rows - first);
    product.bias = of.bias.data();
    product.out = recurrence.gates.data() + (direction * rows + first) * weights.gates();
    product.out_stride = weights.gates();
    multiply(call.path(), of.input.panels(), product);
  });
}

// Some items through all their steps. Backwards, each begins at its own end.
void recur(CpuPath path, Recurrence& r, int64_t direction, bool backwards, int64_t first, int64_t count) {
  const LstmWeights& weights = r.weights;
  const int64_t width = weights.gates();
  const auto directions = static_cast<int64_t>(weights.directions.size());
  std::vector<float> sums(static_cast<size_t>(count * width));
  float* const last = r.last.as<float>().data() + (direction * r.items + first) * weights.units;
  float* const cells = r.cells.as<float>().data() + (direction * r.items + first) * weights.units;
  Product product;
  product.rows = last;
  product.row_stride = weights.units;
  product.count = count;
  product.out = sums.data();
  product.out_stride = width;
  for (int64_t step = 0; step < r.steps; ++step) {
    multiply(path, weights.directions[static_cast<size_t>(direction)].recurrent.panels(), product);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t length = r.lengths[static_cast<size_t>(first + i)];
      if (step >= length) continue;
      const int64_t at = backwards ? length - 1 - step : step;
      const float* input = r.gates.data() + ((direction * r.steps + at) * r.items + first + i) * width;
      float* sum = sums.data() + i * width;
      for (int64_t g = 0; g < width; ++g) sum[g] += input[g];
      step_lstm_cells(path, sum, weights.units, cells + i * weights.units, last + i * weights.units);
      std::copy_n(last + i * weights.units, weights.units,
                  r.outputs.as<float>().data() +
                      ((at * directions + direction) * r.items + first + i) * weights.units);
    }
  }
}

void require_plain_lstm(const OperatorCall& call, std::size_t directions) {
  if (call.integer("layout", 0) != 0) fail("layout 1 is not known here");
  if (call.has(7)) fail("peepholes are not known here");
  const std::string direction = call.text("direction", "forward");
  if (direction != "forward" && direction != "reverse" && direction != "bidirectional")
    fail("there is no direction {}", one_line(direction));
  if ((direction == "bidirectional" ? 2u : 1u) != directions)
    fail("its weights are for {} directions, which is not {}", directions, direction);
}

// Outputs beyond an item's length are zeros.
OnnxOutputs lstm(OperatorCall& call) {
  std::vector<std::size_t> of{1, 2};
  if (call.inputs() > 3) of.push_back(3);
  const auto& weights = call.prepared<LstmWeights>(of, [&] { return pack_weights(call); });
  const std::size_t directions = weights.directions.size();
  require_plain_lstm(call, directions);
  const OnnxTensor& x = call.input(0);
  if (x.axes() != 3 || x.shape[2] != weights.inputs)
    fail("an input of shape {} for weights of {} inputs", to_string(x.shape), weights.inputs);
  if (call.integer("hidden_size", weights.units) != weights.units) fail("hidden_size is not that of R");
  Recurrence r{weights, x.shape[0], x.shape[1], {}, {}, {}, {}, {}};
  const OnnxShape state{static_cast<int64_t>(directions), r.items, weights.units};
  r.lengths = lengths_of(call, r.steps, r.items);
  r.gates.resize(directions * static_cast<size_t>(r.steps * r.items * weights.gates()));
  r.outputs = OnnxTensor(OnnxType::f32, {r.steps, state[0], r.items, weights.units});
  r.last = initial_state(call, 5, state);
  r.cells = initial_state(call, 6, state);
  for (size_t d = 0; d < directions; ++d) multiply_inputs(call, x.as<float>(), static_cast<int64_t>(d), r);
  const bool reverse = call.text("direction", "forward") == "reverse";
  const int64_t groups = (r.items + items_in_step - 1) / items_in_step;
  call.compute().team.run(directions * static_cast<size_t>(groups), [&](std::size_t task) {
    const int64_t direction = static_cast<int64_t>(task) / groups;
    const int64_t first = static_cast<int64_t>(task) % groups * items_in_step;
    recur(call.path(), r, direction, reverse || direction == 1, first,
          std::min(items_in_step, r.items - first));
  });
  OnnxOutputs outputs;
  for (OnnxTensor* tensor : {&r.outputs, &r.last, &r.cells}) {
    tensor->type = x.type;
    outputs.tensors.push_back(std::move(*tensor));
  }
  return outputs;
}

}  // namespace

OperatorTable recurrent_operators() {
  return {{"LSTM", {lstm, {"direction", "hidden_size", "layout"}}}};
}

}  // namespace retort
