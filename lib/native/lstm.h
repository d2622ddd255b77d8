// Recurrent layers over packed utterances, those of a few utterances in step.
#pragma once

#include <functional>
#include <vector>

#include "model/config.h"
#include "native/packing.h"

namespace retort {

// What the layers of an LSTM remember of one utterance's rows up to here; made by Lstm::start().
struct LstmState {
  struct Layer {
    std::vector<float> cells, last;  // (units): the cells, and what they gave last
  };
  std::vector<Layer> layers;
};

class Lstm {
 public:
  Lstm(const ModelConfig& config, WeightTable& weights, const NetworkPrecision& precision);

  // Outputs (rows, hidden) of the first `layers` layers of x (rows, block input), handed to output(i, rows)
  // from 1, in order. With `state`, x is of one utterance and goes on where the state was left; not for both
  // directions.
  using Output = std::function<void(int layer, const RowSpan& rows)>;
  void run(const Compute& compute, const Packing& packing, const RowSpan& x, int layers, const Output& output,
           LstmState* state = nullptr) const;
  // Of an utterance's beginning.
  LstmState start() const;

 private:
  // One direction of a layer. Gates are PyTorch's: input, forget, cell, output.
  struct Direction {
    Linear input;      // with both biases
    Linear recurrent;  // of the last outputs
  };

  // Utterances that go in step, the longest first.
  using Group = std::vector<std::size_t>;
  static std::vector<Group> groups_of(const Packing& packing);
  void recur(const Compute& compute, const Direction& direction, bool backwards, const Packing& packing,
             const Group& group, const RowSpan& gates, const RowSpan& out, LstmState::Layer* state) const;

  int64_t hidden_, units_;
  std::vector<std::vector<Direction>> layers_;  // one direction or two
};

}  // namespace retort
