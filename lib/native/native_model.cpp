#include "native/native_model.h"

#include "base/error.h"
#include "model/streaming.h"
#include "native/conv_stack.h"
#include "native/heads.h"
#include "native/lstm.h"
#include "native/transformer.h"

namespace retort {
namespace {

// Frames of the conv stack that one thread computes at a time: enough that what two pieces share is little.
constexpr int64_t frames_per_piece = 128;

// The layers asked for, as they are filled: utterance by utterance.
class Taps {
 public:
  Taps(const ModelConfig& config, const std::vector<Layer>& layers, std::size_t utterances)
      : config_(config), layers_(layers), outputs_(utterances) {
    for (std::vector<Matrix>& output : outputs_) output.resize(layers.size());
  }

  // Makes room for a layer's rows, packed as `packing` says, if it is asked for.
  void open(const Layer& layer, const Packing& packing) {
    for (std::size_t l = 0; l < layers_.size(); ++l)
      if (layers_[l] == layer)
        for (std::size_t u = 0; u < outputs_.size(); ++u)
          outputs_[u][l] = Matrix(packing.length(u), layer_dim(layer, config_));
  }

  // Takes rows [first, ...) of a layer that was opened, if it is asked for: each of them is `frames_per_row`
  // of its frames in `rows`.
  void take(const Layer& layer, const Packing& packing, int64_t first, const RowSpan& rows,
            int64_t frames_per_row = 1) {
    for (std::size_t l = 0; l < layers_.size(); ++l)
      if (layers_[l] == layer)
        for (std::size_t u = 0; u < outputs_.size(); ++u)
          copy(packing, u, first, rows, frames_per_row, outputs_[u][l]);
  }

  bool wants(const Layer& layer) const {
    return std::find(layers_.begin(), layers_.end(), layer) != layers_.end();
  }
  std::vector<std::vector<Matrix>> take_all() { return std::move(outputs_); }

 private:
  static void copy(const Packing& packing, std::size_t utterance, int64_t first, const RowSpan& rows,
                   int64_t frames_per_row, Matrix& to) {
    const int64_t begin = packing.begin(utterance);
    const int64_t from = std::max(first, begin);
    const int64_t end = std::min(first + rows.count / frames_per_row, begin + packing.length(utterance));
    for (int64_t row = from; row < end; ++row)
      for (int64_t j = 0; j < frames_per_row; ++j) {
        const int64_t frame = (row - begin) * frames_per_row + j;
        if (frame < to.rows())
          std::copy_n(rows.row((row - first) * frames_per_row + j), to.columns(), to.row(frame).data());
      }
  }

  const ModelConfig& config_;
  const std::vector<Layer>& layers_;
  std::vector<std::vector<Matrix>> outputs_;
};

bool only_conv(const std::vector<Layer>& layers) {
  return std::all_of(layers.begin(), layers.end(),
                     [](const Layer& layer) { return layer.kind == Layer::Kind::conv; });
}

}  // namespace

struct NativeModel::Network {
  // Layers are made in order of their tensors' names, as WeightTable likes it.
  Network(const ModelConfig& some_config, WeightTable& weights, const NativeOptions& options)
      : config(some_config),
        team(options.threads),
        compute{options.path, network_precision(options.path, options.precision), team, memory},
        encoder_norm(weights, "encoder.layer_norm", config.norm_eps) {
    const Precision precision = compute.precision.weights;
    if (config.blocks == BlockKind::lstm) {
      lstm = std::make_unique<Lstm>(config, weights, compute.precision);
    } else {
      transformer = std::make_unique<Transformer>(config, weights, precision);
      positions = std::make_unique<PositionalConv>(config, weights, compute.precision.others);
      if (config.time_reduction > 1) time_reduction = reduction(weights, precision);
    }
    conv = std::make_unique<ConvStack>(config, weights, precision);
    projection_norm = Norm(weights, "feature_projection.layer_norm", config.norm_eps);
    if (config.projection)
      projection = Linear(weights, "feature_projection.projection", conv->channels(), precision);
    heads = std::make_unique<PredictionHeadOutputs>(config, weights, precision);
    hash = weights.finish();
  }

  // A convolution (hidden, hidden, factor) whose windows do not overlap.
  Linear reduction(WeightTable& weights, Precision precision) const {
    const std::vector<float> weight = weights.take("encoder.time_reduction.weight");
    const int64_t hidden = config.hidden;
    const int64_t factor = config.time_reduction;
    std::vector<float> columns(weight.size());
    for (int64_t out = 0; out < hidden; ++out)
      for (int64_t in = 0; in < hidden; ++in)
        for (int64_t k = 0; k < factor; ++k)
          columns[static_cast<size_t>((out * factor + k) * hidden + in)] =
              weight[static_cast<size_t>((out * hidden + in) * factor + k)];
    return {columns.data(), factor * hidden, hidden, weights.take("encoder.time_reduction.bias"),
            precision,      hidden};
  }

  // The conv stack's frames of each waveform, and all that follows; what is asked for goes to `taps`. With
  // `state`, of one waveform whose earlier frames left it so.
  void encode(const std::vector<int64_t>& frames, PackedRows conv_rows, const std::vector<Layer>& layers,
              Taps& taps, LstmState* state = nullptr);
  std::vector<Matrix> encode_one(const Matrix& frames, const std::vector<Layer>& layers, LstmState* state);
  void project(const Packing& packing, const RowSpan& conv_rows, const RowSpan& x, Taps& taps);
  PackedRows reduce_time(const Packing& packing, const Packing& reduced, const RowSpan& x) const;
  void run_transformer(const Packing& packing, const Packing& blocks, PackedRows x, int count, Taps& taps);
  void run_lstm(const Packing& packing, const RowSpan& x, int count, Taps& taps, LstmState* state);
  // Of some rows of a block's output, the layers that are taken from it.
  void take_block(const Packing& blocks, int block, int64_t first, const RowSpan& rows, Taps& taps) const;

  ModelConfig config;
  std::string hash;
  ThreadTeam team;
  RowMemory memory;
  Compute compute;
  Norm encoder_norm, projection_norm;
  Linear projection, time_reduction;
  std::unique_ptr<ConvStack> conv;
  std::unique_ptr<PredictionHeadOutputs> heads;
  std::unique_ptr<PositionalConv> positions;
  std::unique_ptr<Transformer> transformer;
  std::unique_ptr<Lstm> lstm;
};

void NativeModel::Network::encode(const std::vector<int64_t>& frames, PackedRows conv_rows,
                                  const std::vector<Layer>& layers, Taps& taps, LstmState* state) {
  const Packing packing(frames);
  std::vector<int64_t> block_frames, head_frames;
  for (const int64_t count : frames) {
    block_frames.push_back(config.block_frames(count));
    head_frames.push_back(config.head_frames(count));
  }
  const Packing blocks(block_frames);
  const Layer conv_layer{Layer::Kind::conv, 0};
  taps.open(conv_layer, packing);
  taps.take(conv_layer, packing, 0, conv_rows.all());
  if (only_conv(layers)) return;
  taps.open({Layer::Kind::proj, 0}, packing);
  for (int i = 0; i <= config.layers; ++i) taps.open({Layer::Kind::enc, i}, blocks);
  taps.open({Layer::Kind::final, 0}, blocks);
  for (const int head : config.prediction.layers) taps.open({Layer::Kind::head, head}, Packing(head_frames));

  PackedRows x(compute.memory, packing.rows(), config.block_input());
  project(packing, conv_rows.all(), x.all(), taps);
  conv_rows = {};
  const int count = blocks_for(layers, config);
  if (lstm)
    run_lstm(packing, x.all(), count, taps, state);
  else
    run_transformer(packing, blocks, std::move(x), count, taps);
}

void NativeModel::Network::project(const Packing& packing, const RowSpan& conv_rows, const RowSpan& x,
                                   Taps& taps) {
  compute.for_each_run(packing.rows(), [&](int64_t first, int64_t count) {
    const RowSpan rows = conv_rows.rows(first, count);
    const RowSpan out = x.rows(first, count);
    if (!projection.empty()) {
      if (!projection_norm.empty()) projection_norm.apply(compute.path, rows, rows);
      projection.apply(compute.path, rows, out);
    } else if (!projection_norm.empty()) {
      projection_norm.apply(compute.path, rows, out);
    } else {
      for (int64_t r = 0; r < count; ++r) std::copy_n(rows.row(r), x.stride, out.row(r));
    }
    taps.take({Layer::Kind::proj, 0}, packing, first, out);
  });
}

// What does not fill a window is left out, unless zeros do.
PackedRows NativeModel::Network::reduce_time(const Packing& packing, const Packing& reduced,
                                             const RowSpan& x) const {
  const int64_t factor = config.time_reduction;
  PackedRows out(compute.memory, reduced.rows(), config.hidden);
  compute.team.run(packing.utterances(), [&](std::size_t u) {
    const int64_t windows = reduced.length(u);
    const int64_t whole = std::min(windows, packing.length(u) / factor);
    const RowSpan rows = x.rows(packing.begin(u), packing.length(u));
    const RowSpan to = out.rows(reduced.begin(u), windows);
    time_reduction.apply(compute.path, {rows.values, factor * rows.stride, whole}, to.rows(0, whole));
    for (int64_t window = whole; window < windows; ++window) {
      PackedRows filled(compute.memory, factor, config.hidden);
      std::fill_n(filled.all().values, factor * config.hidden, 0.0f);
      for (int64_t k = 0; window * factor + k < rows.count; ++k)
        std::copy_n(rows.row(window * factor + k), config.hidden, filled.all().row(k));
      time_reduction.apply(compute.path, {filled.all().values, factor * config.hidden, 1},
                           to.rows(window, 1));
    }
  });
  return out;
}

void NativeModel::Network::run_transformer(const Packing& packing, const Packing& blocks, PackedRows x,
                                           int count, Taps& taps) {
  PackedRows placed(compute.memory, packing.rows(), config.hidden);
  positions->add_to(compute, packing, x.all(), placed.all());
  x = {};
  if (!config.pre_norm)
    compute.for_each_run(packing.rows(), [&](int64_t first, int64_t rows) {
      encoder_norm.apply(compute.path, placed.rows(first, rows), placed.rows(first, rows));
    });
  if (config.time_reduction > 1) placed = reduce_time(packing, blocks, placed.all());
  take_block(blocks, 0, 0, placed.all(), taps);
  transformer->run(compute, blocks, placed.all(), count, [&](int block, int64_t first, const RowSpan& rows) {
    take_block(blocks, block, first, rows, taps);
  });
}

void NativeModel::Network::run_lstm(const Packing& packing, const RowSpan& x, int count, Taps& taps,
                                    LstmState* state) {
  take_block(packing, 0, 0, x, taps);
  lstm->run(
      compute, packing, x, count,
      [&](int layer, const RowSpan& rows) { take_block(packing, layer, 0, rows, taps); }, state);
}

void NativeModel::Network::take_block(const Packing& blocks, int block, int64_t first, const RowSpan& rows,
                                      Taps& taps) const {
  taps.take({Layer::Kind::enc, block}, blocks, first, rows);
  const Layer final{Layer::Kind::final, 0};
  if (block == config.layers && taps.wants(final)) {
    PackedRows normed;
    RowSpan last = rows;
    if (config.pre_norm) {
      normed = PackedRows(compute.memory, rows.count, config.hidden);
      last = normed.all();
      encoder_norm.apply(compute.path, rows, last);
    }
    taps.take(final, blocks, first, last);
  }
  const PredictionHeads& prediction = config.prediction;
  for (std::size_t i = 0; i < prediction.layers.size(); ++i) {
    const bool split = prediction.kind == PredictionHeads::Kind::split;
    const Layer layer{Layer::Kind::head, prediction.layers[i]};
    if (block != (split ? config.layers : prediction.layers[i]) || !taps.wants(layer)) continue;
    PackedRows head(compute.memory, rows.count * heads->frames_per_row(), prediction.dim);
    heads->apply(compute, i, rows, head.all());
    taps.take(layer, blocks, first, head.all(), heads->frames_per_row());
  }
}

NativeModel::NativeModel(const ModelSource& source, const NativeOptions& options) {
  WeightTable table(source);
  network_ = std::make_unique<Network>(source.config, table, options);
}

NativeModel::~NativeModel() = default;

const ModelConfig& NativeModel::config() const {
  return network_->config;
}

const std::string& NativeModel::hash() const {
  return network_->hash;
}

std::vector<std::vector<Matrix>> NativeModel::forward(const std::vector<std::vector<float>>& waveforms,
                                                      const std::vector<Layer>& layers) {
  Network& network = *network_;
  std::vector<int64_t> frames;
  for (const std::vector<float>& waveform : waveforms) {
    frames.push_back(network.config.frames(static_cast<int64_t>(waveform.size())));
    if (frames.back() == 0) fail("a waveform of {} samples has no frame", waveform.size());
  }
  const Packing packing(frames);
  std::vector<ConvStack::Input> inputs(waveforms.size());
  network.team.run(waveforms.size(), [&](std::size_t u) { inputs[u] = network.conv->prepare(waveforms[u]); });

  struct Piece {
    std::size_t utterance;
    int64_t first, count;
  };
  std::vector<Piece> pieces;
  const int64_t share = packing.rows() / (int64_t{2} * network.team.threads());
  const int64_t length = std::clamp(share, frames_per_piece / 4, frames_per_piece);
  for (std::size_t u = 0; u < frames.size(); ++u)
    for (int64_t first = 0; first < frames[u]; first += length)
      pieces.push_back({u, first, std::min(length, frames[u] - first)});
  PackedRows conv_rows(network.memory, packing.rows(), network.conv->channels());
  network.team.run(pieces.size(), [&](std::size_t i) {
    const Piece& piece = pieces[i];
    network.conv->frames(network.compute.path, inputs[piece.utterance], piece.first,
                         conv_rows.rows(packing.begin(piece.utterance) + piece.first, piece.count));
  });
  inputs.clear();

  Taps taps(network.config, layers, waveforms.size());
  network.encode(frames, std::move(conv_rows), layers, taps);
  return taps.take_all();
}

struct NativeModel::ConvFrames::State {
  Network& network;
  ConvStack::Input input;
};

NativeModel::ConvFrames NativeModel::conv_frames(std::vector<float> waveform) {
  const int64_t count = network_->config.frames(static_cast<int64_t>(waveform.size()));
  ConvStack::Input input = network_->conv->prepare(std::move(waveform));
  return {std::make_shared<ConvFrames::State>(ConvFrames::State{*network_, std::move(input)}), count};
}

void NativeModel::ConvFrames::read(int64_t first, Matrix& rows, int64_t row) const {
  Network& network = state_->network;
  const RowSpan out = RowSpan{rows.data(), rows.columns(), rows.rows()}.rows(row, rows.rows() - row);
  const int64_t pieces = (out.count + frames_per_piece - 1) / frames_per_piece;
  network.team.run(static_cast<size_t>(pieces), [&](std::size_t i) {
    const int64_t begin = static_cast<int64_t>(i) * frames_per_piece;
    network.conv->frames(network.compute.path, state_->input, first + begin,
                         out.rows(begin, std::min(frames_per_piece, out.count - begin)));
  });
}

std::vector<Matrix> NativeModel::Network::encode_one(const Matrix& frames, const std::vector<Layer>& layers,
                                                     LstmState* state) {
  PackedRows rows(memory, frames.rows(), frames.columns());
  std::copy(frames.values().begin(), frames.values().end(), rows.all().values);
  Taps taps(config, layers, 1);
  encode({frames.rows()}, std::move(rows), layers, taps, state);
  return std::move(taps.take_all().front());
}

std::vector<Matrix> NativeModel::forward_frames(const Matrix& frames, const std::vector<Layer>& layers) {
  return network_->encode_one(frames, layers, nullptr);
}

struct NativeModel::Stream::State {
  State(Network& some_network, std::vector<Layer> some_layers)
      : network(some_network),
        layers(std::move(some_layers)),
        conv(*network.conv, network.compute.path),
        lstm(network.lstm->start()) {}

  Network& network;
  std::vector<Layer> layers;
  ConvStream conv;
  LstmState lstm;
  int64_t samples = 0;
};

NativeModel::Stream::Stream(std::unique_ptr<State> state) : state_(std::move(state)) {}
NativeModel::Stream::~Stream() = default;
NativeModel::Stream::Stream(Stream&&) noexcept = default;
NativeModel::Stream& NativeModel::Stream::operator=(Stream&&) noexcept = default;

int64_t NativeModel::Stream::frames(int64_t samples) const {
  const ModelConfig& config = state_->network.config;
  return config.frames(state_->samples + samples) - config.frames(state_->samples);
}

std::vector<Matrix> NativeModel::Stream::push(std::span<const float> samples) {
  const auto count = static_cast<int64_t>(samples.size());
  Matrix conv_frames(frames(count), state_->network.conv->channels());
  state_->samples += count;
  state_->conv.push(samples, {conv_frames.data(), conv_frames.columns(), conv_frames.rows()});
  return push_frames(conv_frames);
}

std::vector<Matrix> NativeModel::Stream::push_frames(const Matrix& frames) {
  return state_->network.encode_one(frames, state_->layers, &state_->lstm);
}

NativeModel::Stream NativeModel::stream(const std::vector<Layer>& layers) {
  require_streaming(config());
  return Stream(std::make_unique<Stream::State>(*network_, layers));
}

}  // namespace retort
