#include "encoder/model_encoder.h"

#include <algorithm>

#include "audio/waveform.h"
#include "base/signals.h"
#include "base/threads.h"
#include "model/checkpoint.h"
#include "model/normalise.h"

namespace retort {
namespace {

// A share of a window that is computed for its neighbours' sake at each end, and left out.
constexpr double context_share = 0.125;

// Windows that cover `frames` frames: what is computed, and what of it is kept.
struct Window {
  int64_t begin, end;
  int64_t keep_begin, keep_end;
};

// Windows begin and end on multiples of `grid` frames, as do the parts that are kept.
std::vector<Window> make_windows(int64_t frames, int64_t length, int64_t grid) {
  const auto on_grid = [grid](int64_t frame) { return std::max(frame / grid, int64_t{1}) * grid; };
  const int64_t context = on_grid(static_cast<int64_t>(static_cast<double>(length) * context_share));
  const int64_t stride = on_grid(length - 2 * context);
  std::vector<Window> windows;
  for (int64_t begin = 0; begin < frames; begin += stride) {
    const int64_t end = std::min(frames, begin + stride);
    windows.push_back({std::max(int64_t{0}, begin - context), std::min(frames, end + context), begin, end});
  }
  return windows;
}

// Copies what is kept of a window of `frames` frames of the conv stack, of which `frames_per_row` make one
// row here. The last window has what remains.
void keep(const Matrix& rows, const Window& window, int64_t frames, int64_t frames_per_row, Matrix& all) {
  const int64_t first = window.keep_begin / frames_per_row;
  const int64_t end = window.keep_end < frames ? window.keep_end / frames_per_row : all.rows();
  const int64_t offset = window.begin / frames_per_row;
  for (int64_t row = first; row < std::min(end, all.rows()); ++row)
    std::copy_n(rows.row(row - offset).data(), rows.columns(), all.row(row).data());
}

}  // namespace

ModelEncoder::ModelEncoder(const EncoderOptions& options, ModelSource source)
    : source_(std::move(source)),
      config_(source_.config),
      precision_(options.precision),
      threads_(options.threads > 0 ? options.threads : available_threads()),
      compat_(options.batching == "compat"),
      batch_utterances_(options.batch),
      window_(options.window) {
  settle_wave_norm(options);
  choose_layers(parse_layers(options.layers.empty() ? "final" : options.layers, config_));
}

void ModelEncoder::choose_layers(std::vector<Layer> layers) {
  layers_ = std::move(layers);
  outputs_.clear();
  for (const Layer& layer : layers_)
    outputs_.push_back({layer.name(), layer_dim(layer, config_), layer_hop(layer, config_)});
}

// Normalisation belongs to the model: another one is taken only where it is forced, and then said in what is
// written.
void ModelEncoder::settle_wave_norm(const EncoderOptions& options) {
  stamped_wave_norm_ = config_.wave_norm;
  if (options.wave_norm.empty() || options.wave_norm == config_.wave_norm) return;
  if (!options.force)
    fail_usage("--wave-norm {}: {} was trained with {}; --force overrides it", options.wave_norm,
               options.model, config_.wave_norm);
  config_.wave_norm = options.wave_norm;
  stamped_wave_norm_ = fmt::format("{} (forced)", options.wave_norm);
}

std::string ModelEncoder::stamped_batching() const {
  if (compat_) return fmt::format("compat {}", batch_utterances_);
  return window_ == EncoderOptions().window ? "exact" : fmt::format("exact, windows of {} s", window_);
}

FrameOrigin ModelEncoder::origin(std::size_t output) const {
  FrameOrigin origin;
  origin.model = hash_;
  origin.layer = outputs_[output].layer;
  origin.wave_norm = stamped_wave_norm_;
  origin.batching = stamped_batching();
  origin.precision = precision_;
  origin.hop = outputs_[output].hop;
  return origin;
}

double ModelEncoder::cpu_batch_seconds() const {
  constexpr double each_thread = 40;
  return std::min(most_batch_seconds, threads_ * each_thread);
}

bool ModelEncoder::is_long(const std::vector<float>& waveform) const {
  return window_ > 0 && static_cast<double>(waveform.size()) > window_ * model_rate;
}

std::vector<float> ModelEncoder::normalised(const std::vector<float>& waveform) const {
  return normalise_waveform(waveform, config_.wave_norm);
}

// Norms over time, of waveform and of conv stack, see all of the utterance, attention a window.
std::vector<Matrix> ModelEncoder::encode_windows(int64_t samples, int64_t frames,
                                                 const EncodeWindow& encode) const {
  const auto length = static_cast<int64_t>(window_ * model_rate / config_.stride());
  std::vector<Matrix> encoded;
  for (std::size_t i = 0; i < layers_.size(); ++i)
    encoded.emplace_back(this->frames(i, samples), outputs_[i].dim);
  for (const Window& window : make_windows(frames, length, config_.time_reduction)) {
    throw_if_stopped();
    const std::vector<Matrix> rows = encode(window.begin, window.end - window.begin);
    for (std::size_t i = 0; i < layers_.size(); ++i)
      keep(rows[i], window, frames, outputs_[i].hop / config_.stride(), encoded[i]);
  }
  return encoded;
}

}  // namespace retort
