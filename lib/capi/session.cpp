#include "capi/session.h"

#include <algorithm>
#include <cmath>

#include "audio/waveform.h"
#include "base/threads.h"

namespace retort {
namespace {

EncoderOptions encoder_options(const std::string& path, int threads, const std::string& precision) {
  if (threads < 0) fail_usage("threads {}: should be 0 (all) or more", threads);
  if (!has_precision(cpu_path(), parse_precision(precision)))
    fail_usage("precision {}: this CPU ({}) has no instructions for it; f32 is faster here", precision,
               to_string(cpu_path()));
  EncoderOptions options;
  options.model = path;
  options.threads = threads > 0 ? threads : available_threads();
  options.precision = precision;
  return options;
}

// Where the waveforms from `first` on that are encoded in one call end.
std::size_t batch_end(const std::vector<std::span<const float>>& waveforms, std::size_t first,
                      double seconds) {
  double samples = 0;
  std::size_t end = first;
  while (end < waveforms.size() && (end == first || samples < seconds * model_rate))
    samples += static_cast<double>(waveforms[end++].size());
  return end;
}

}  // namespace

void require_finite(std::span<const float> samples, const std::string& what) {
  const auto wrong =
      std::find_if_not(samples.begin(), samples.end(), [](float x) { return std::isfinite(x); });
  if (wrong != samples.end()) fail("{}: sample {} is {}", what, wrong - samples.begin(), *wrong);
}

Session::Session(const std::string& path, int threads, const std::string& precision)
    : threads_(threads > 0 ? threads : available_threads()),
      encoder_(encoder_options(path, threads, precision)),
      hash_(encoder_.origin(0).model) {
  for (const Layer& layer : all_layers(config())) layer_names_.push_back(layer.name());
}

FrameOrigin Session::origin(const Layer& layer) {
  const std::lock_guard lock(computing_);
  encoder_.choose_layers({layer});
  return encoder_.origin(0);
}

void Session::check_waveforms(const Layer& layer,
                              const std::vector<std::span<const float>>& waveforms) const {
  for (std::size_t i = 0; i < waveforms.size(); ++i) {
    const std::string what = waveforms.size() == 1 ? "the waveform" : fmt::format("waveform {}", i);
    if (layer_frames(layer, config(), static_cast<int64_t>(waveforms[i].size())) == 0)
      fail("{}: {} samples are too few for a frame of {}", what, waveforms[i].size(), layer.name());
    require_finite(waveforms[i], what);
  }
}

std::vector<Matrix> Session::features(const Layer& layer,
                                      const std::vector<std::span<const float>>& waveforms) {
  check_waveforms(layer, waveforms);
  const std::lock_guard lock(computing_);
  encoder_.choose_layers({layer});
  std::vector<Matrix> features;
  for (std::size_t first = 0; first < waveforms.size();) {
    const std::size_t end = batch_end(waveforms, first, encoder_.batches().seconds);
    std::vector<std::vector<float>> batch;
    for (; first < end; ++first) batch.emplace_back(waveforms[first].begin(), waveforms[first].end());
    for (std::vector<Matrix>& outputs : encoder_.encode(batch))
      features.push_back(std::move(outputs.front()));
  }
  return features;
}

NativeModel::Stream Session::open_stream(const Layer& layer) {
  return encoder_.model().stream({layer});
}

Matrix Session::push(NativeModel::Stream& stream, std::span<const float> samples) {
  require_finite(samples, "the piece");
  const std::lock_guard lock(computing_);
  return std::move(stream.push(samples).front());
}

SessionCodebook::SessionCodebook(std::shared_ptr<Session> session, const std::string& path)
    : session_(std::move(session)),
      codebook_(read_codebook(path)),
      layer_(
          parse_layer(codebook_.origin.layer.empty() ? "final" : codebook_.origin.layer, session_->config())),
      layer_name_(layer_.name()),
      assigner_(make_native_assigner(codebook_.centroids, session_->threads())) {
  require_same_features(codebook_, session_->origin(layer_), layer_dim(layer_, session_->config()));
}

void SessionCodebook::assign(const Matrix& frames, int32_t* units) const {
  const auto assign = [&](const Matrix& rows) {
    if (!std::all_of(rows.values().begin(), rows.values().end(), [](float x) { return std::isfinite(x); }))
      fail("a frame of {} is not finite: the waveform is too loud for the model", layer_name_);
    assigner_->assign(rows.data(), rows.rows(), units, nullptr);
  };
  assign(codebook_.norm.none() ? frames : codebook_.norm.applied(frames));
}

}  // namespace retort
