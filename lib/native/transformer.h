// Transformer blocks over packed utterances. Rows go through all that concerns one row at a time, from one
// block's attention to the next one's, without leaving the caches.
#pragma once

#include <functional>
#include <vector>

#include "model/config.h"
#include "native/positions.h"

namespace retort {

class Transformer {
 public:
  Transformer(const ModelConfig& config, WeightTable& weights, Precision precision);

  // Runs the first `blocks` blocks on x (rows, hidden), in place. Calls output(i, first, rows) for runs of
  // rows of block i's output, from 1, from any thread.
  using Output = std::function<void(int block, int64_t first, const RowSpan& rows)>;
  void run(const Compute& compute, const Packing& packing, const RowSpan& x, int blocks,
           const Output& output) const;

 private:
  // WavLM's gates of relative positions.
  struct Gate {
    std::vector<float> weight, bias;  // (8, head size), (8)
    std::vector<float> constant;      // one per head
  };
  struct Block {
    Linear map_and_value;  // query (over sqrt(head size)), key and value; value only where the map is shared
    Linear out;
    Norm attention_norm;
    Linear up, down;
    Norm final_norm;
    Gate gate;
  };
  // What attention needs of all rows.
  struct State {
    PackedRows query_key_value;              // (rows, 3 hidden)
    PackedRows mixed;                        // (rows, hidden)
    PackedRows gates;                        // (rows, heads); WavLM's
    std::vector<std::vector<float>> biases;  // by head, for the longest utterance
  };

  Block make_block(int index, WeightTable& weights, Precision precision) const;
  // What a block's attention needs of some rows of its input.
  void project(const Compute& compute, const Block& block, const RowSpan& x, int64_t first,
               State& state) const;
  void compute_gates(const Gate& gate, const RowSpan& x, const RowSpan& gates) const;
  void attend(const Compute& compute, const Packing& packing, std::size_t utterance, std::size_t head,
              State& state) const;
  void add_biases(const State& state, std::size_t head, int64_t longest, int64_t first_query,
                  const RowSpan& gates, const RowSpan& logits, int64_t keys) const;
  // The block's output for some rows, in place of its input.
  void finish(const Compute& compute, const Block& block, const RowSpan& x, const RowSpan& mixed) const;

  int64_t hidden_, heads_, ffn_;
  bool pre_norm_;
  double eps_;
  std::vector<Block> blocks_;
  RelativePositions relative_;
};

}  // namespace retort
