#include "encoder/native_model_encoder.h"

#include <algorithm>

#include "base/signals.h"
#include "model/checkpoint.h"
#include "model/streaming.h"

namespace retort {
namespace {

constexpr int64_t frames_per_run = 2048;  // of an utterance that needs no windows

NativeOptions native_options(const EncoderOptions& options, int threads) {
  NativeOptions native;
  native.precision = parse_precision(options.precision);
  native.threads = threads;
  if (!has_precision(native.path, native.precision))
    fail_usage("--precision {}: this CPU ({}) has no instructions for it; f32 is faster here",
               options.precision, to_string(native.path));
  return native;
}

}  // namespace

NativeModelEncoder::NativeModelEncoder(const EncoderOptions& options)
    : ModelEncoder(options, open_model(options.model)), model_(source(), native_options(options, threads())) {
  set_hash(model_.hash());
}

std::vector<std::vector<Matrix>> NativeModelEncoder::encode(
    const std::vector<std::vector<float>>& waveforms) {
  if (is_compat() && config().conv_norm == ConvNorm::group) return encode_padded(waveforms);
  std::vector<std::vector<Matrix>> encoded(waveforms.size());
  std::vector<std::vector<float>> together;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < waveforms.size(); ++i) {
    if (is_long(waveforms[i]) && !is_compat()) {
      encoded[i] = encode_long(waveforms[i]);
    } else {
      together.push_back(normalised(waveforms[i]));
      places.push_back(i);
    }
  }
  std::vector<std::vector<Matrix>> outputs = model_.forward(together, layers());
  for (std::size_t i = 0; i < places.size(); ++i) encoded[places[i]] = std::move(outputs[i]);
  return encoded;
}

// The Python tools give models with GroupNorm no lengths, so that all are as long as the longest.
std::vector<std::vector<Matrix>> NativeModelEncoder::encode_padded(
    const std::vector<std::vector<float>>& waveforms) {
  std::size_t longest = 0;
  for (const std::vector<float>& waveform : waveforms) longest = std::max(longest, waveform.size());
  std::vector<std::vector<float>> padded;
  for (const std::vector<float>& waveform : waveforms) {
    padded.push_back(normalised(waveform));
    padded.back().resize(longest);
  }
  std::vector<std::vector<Matrix>> encoded = model_.forward(padded, layers());
  for (std::size_t u = 0; u < waveforms.size(); ++u)
    for (std::size_t o = 0; o < layers().size(); ++o) {
      const Matrix& all = encoded[u][o];
      const int64_t kept = frames(o, static_cast<int64_t>(waveforms[u].size()));
      encoded[u][o] = Matrix(kept, all.columns(), {all.data(), all.data() + kept * all.columns()});
    }
  return encoded;
}

std::vector<Matrix> NativeModelEncoder::encode_long(const std::vector<float>& waveform) {
  if (obstacle_to_streaming(model_.config()).empty()) return encode_run_by_run(waveform);
  const NativeModel::ConvFrames conv = model_.conv_frames(normalised(waveform));
  const int64_t channels = config().conv.back().channels;
  Matrix window;  // the frames of the last one, from `begin` on: the next one begins with some of them
  int64_t begin = 0;
  return encode_windows(static_cast<int64_t>(waveform.size()), conv.count(),
                        [&](int64_t first, int64_t count) {
                          Matrix next(count, channels);
                          const int64_t shared = std::clamp(begin + window.rows() - first, int64_t{0}, count);
                          if (shared > 0)
                            std::copy_n(window.row(first - begin).data(), shared * channels, next.data());
                          conv.read(first + shared, next, shared);
                          window = std::move(next);
                          begin = first;
                          return model_.forward_frames(window, layers());
                        });
}

// What a model remembers goes from one run to the next: there is nothing to compute twice, and the frames
// are those of the whole.
std::vector<Matrix> NativeModelEncoder::encode_run_by_run(const std::vector<float>& waveform) {
  const NativeModel::ConvFrames conv = model_.conv_frames(normalised(waveform));
  NativeModel::Stream stream = model_.stream(layers());
  std::vector<Matrix> encoded;
  for (const EncoderOutput& output : outputs()) encoded.emplace_back(conv.count(), output.dim);
  for (int64_t first = 0; first < conv.count(); first += frames_per_run) {
    throw_if_stopped();
    Matrix run(std::min(frames_per_run, conv.count() - first), config().conv.back().channels);
    conv.read(first, run, 0);
    const std::vector<Matrix> outputs = stream.push_frames(run);
    for (std::size_t i = 0; i < outputs.size(); ++i)
      std::copy_n(outputs[i].data(), outputs[i].rows() * outputs[i].columns(), encoded[i].row(first).data());
  }
  return encoded;
}

std::unique_ptr<FrameEncoder> make_native_model_encoder(const EncoderOptions& options) {
  return std::make_unique<NativeModelEncoder>(options);
}

}  // namespace retort
