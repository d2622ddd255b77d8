#include "native/conv_stack.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "model/norm_eps.h"

namespace retort {
namespace {

// Rows of a layer that are computed together: what they are made of is in the caches then.
constexpr int64_t rows_at_once = 64;

// (out, in, kernel) to (out, kernel, in): a window of rows, one after the other, is what it multiplies.
std::vector<float> taps_first(const std::vector<float>& weight, int64_t out, int64_t in, int64_t kernel) {
  std::vector<float> turned(weight.size());
  for (int64_t o = 0; o < out; ++o)
    for (int64_t i = 0; i < in; ++i)
      for (int64_t k = 0; k < kernel; ++k)
        turned[static_cast<size_t>((o * kernel + k) * in + i)] =
            weight[static_cast<size_t>((o * in + i) * kernel + k)];
  return turned;
}

}  // namespace

// A run of frames. Each layer asks the one before it for as many rows as it needs next, so that no more than
// a few are in memory, and only those at the beginning of a run are computed for two runs.
class ConvPiece {
 public:
  // Sample `begin` of the waveform and those after it.
  struct Samples {
    const float* values;
    int64_t begin;
  };

  // `first_layer`: the first convolution, where the norm over time made one for this waveform.
  ConvPiece(const ConvStack& stack, CpuPath path, const Linear& first_layer, int64_t first)
      : stack_(stack), path_(path), first_layer_(first_layer) {
    std::vector<int64_t> firsts{first};
    for (auto layer = stack.layers_.rbegin(); layer + 1 != stack.layers_.rend(); ++layer)
      firsts.push_back(firsts.back() * layer->stride);
    for (const ConvStack::Layer& layer : stack.layers_) {
      windows_.emplace_back(firsts.back(), layer.channels);
      firsts.pop_back();
    }
  }

  // The last layer's rows from `first` on, which follow those of the call before.
  void frames(const Samples& samples, int64_t first, const RowSpan& out) {
    samples_ = samples;
    for (int64_t done = 0; done < out.count; done += rows_at_once)
      compute(windows_.size() - 1, first + done, out.rows(done, std::min(rows_at_once, out.count - done)));
  }

 private:
  // Makes rows of a layer up to `end`.
  void fill(size_t index, int64_t end) {
    RowWindow& window = windows_[index];
    while (window.end() < end) {
      const int64_t first = window.end();
      compute(index, first, window.append(std::min(rows_at_once, end - first)));
    }
  }

  void compute(size_t index, int64_t first, const RowSpan& out) {
    const ConvStack::Layer& layer = stack_.layers_[index];
    const RowSpan windows = index == 0 ? sample_windows(first, out.count) : inputs(index, first, out.count);
    const bool norm_follows = !layer.norm.empty();
    const Linear& linear = layer.linear.empty() ? first_layer_ : layer.linear;
    linear.apply(path_, windows, out, {!norm_follows, {}});
    if (norm_follows) layer.norm.apply(path_, out, out, true);
  }

  RowSpan sample_windows(int64_t first, int64_t count) const {
    const int64_t stride = stack_.layers_.front().stride;
    return {const_cast<float*>(samples_.values) + (first * stride - samples_.begin), stride, count};
  }

  RowSpan inputs(size_t index, int64_t first, int64_t count) {
    const ConvStack::Layer& layer = stack_.layers_[index];
    RowWindow& before = windows_[index - 1];
    before.drop_before(first * layer.stride);
    fill(index - 1, (first + count - 1) * layer.stride + layer.kernel);
    return {const_cast<float*>(before.row(first * layer.stride)),
            layer.stride * stack_.layers_[index - 1].channels, count};
  }

  const ConvStack& stack_;
  CpuPath path_;
  const Linear& first_layer_;
  Samples samples_{};
  std::vector<RowWindow> windows_;
};

ConvStack::ConvStack(const ModelConfig& config, WeightTable& weights, Precision precision) {
  int64_t in = 1;
  for (size_t i = 0; i < config.conv.size(); ++i) {
    const ConvLayerShape& shape = config.conv[i];
    const std::string name = fmt::format("feature_extractor.conv_layers.{}", i);
    Layer layer{shape.channels, shape.kernel, shape.stride, {}, {}};
    const std::vector<float> weight =
        taps_first(weights.take(name + ".conv.weight"), layer.channels, in, layer.kernel);
    std::vector<float> bias = weights.take(name + ".conv.bias");
    if (i == 0 && config.conv_norm == ConvNorm::group) {
      first_weight_ = weight;  // the norm takes off what a bias adds
      time_weight_ = weights.take(name + ".layer_norm.weight");
      time_bias_ = weights.take(name + ".layer_norm.bias");
    } else {
      // Products with samples are too short to gain from fewer bits, and samples lose by them.
      layer.linear = Linear(weight.data(), layer.kernel * in, layer.channels, std::move(bias),
                            i == 0 ? Precision::f32 : precision, in);
      if (config.conv_norm == ConvNorm::layer)
        layer.norm = Norm(weights, name + ".layer_norm", conv_norm_eps);
    }
    layers_.push_back(std::move(layer));
    in = shape.channels;
  }
}

ConvStack::Input ConvStack::prepare(std::vector<float> waveform) const {
  if (first_weight_.empty()) return {std::move(waveform), {}};
  const double mean =
      std::accumulate(waveform.begin(), waveform.end(), 0.0) / static_cast<double>(waveform.size());
  for (float& sample : waveform) sample -= static_cast<float>(mean);
  Linear first = fold_norm_over_time(waveform);
  return {std::move(waveform), std::move(first)};
}

// Mean and variance of every channel follow from mean and covariance of the windows that it sees, so that the
// norm becomes a factor of the weights and a bias: no pass over the (long) outputs. In double, since
// covariances cancel.
Linear ConvStack::fold_norm_over_time(const std::vector<float>& centred) const {
  const Layer& layer = layers_.front();
  const auto kernel = static_cast<size_t>(layer.kernel);
  const int64_t windows = (static_cast<int64_t>(centred.size()) - layer.kernel) / layer.stride + 1;
  std::vector<double> means(kernel), products(kernel * kernel);
  for (int64_t w = 0; w < windows; ++w) {
    const float* window = centred.data() + w * layer.stride;
    for (size_t i = 0; i < kernel; ++i) {
      const auto value = static_cast<double>(window[i]);
      means[i] += value;
      for (size_t j = 0; j <= i; ++j) products[i * kernel + j] += value * static_cast<double>(window[j]);
    }
  }
  const auto count = static_cast<double>(windows);
  for (double& mean : means) mean /= count;
  std::vector<float> weight(first_weight_.size()), bias(static_cast<size_t>(layer.channels));
  for (size_t channel = 0; channel < bias.size(); ++channel) {
    const float* taps = first_weight_.data() + channel * kernel;
    double mean = 0;
    double variance = 0;
    for (size_t i = 0; i < kernel; ++i) {
      const auto tap = static_cast<double>(taps[i]);
      mean += tap * means[i];
      for (size_t j = 0; j <= i; ++j) {
        const double covariance = products[i * kernel + j] / count - means[i] * means[j];
        variance += (i == j ? 1 : 2) * tap * static_cast<double>(taps[j]) * covariance;
      }
    }
    const double scale =
        static_cast<double>(time_weight_[channel]) / std::sqrt(std::max(variance, 0.0) + conv_norm_eps);
    for (size_t i = 0; i < kernel; ++i)
      weight[channel * kernel + i] = static_cast<float>(scale * static_cast<double>(taps[i]));
    bias[channel] = static_cast<float>(static_cast<double>(time_bias_[channel]) - scale * mean);
  }
  return {weight.data(), layer.kernel, layer.channels, std::move(bias), Precision::f32};
}

void ConvStack::frames(CpuPath path, const Input& input, int64_t first, const RowSpan& out) const {
  ConvPiece(*this, path, input.first, first).frames({input.samples.data(), 0}, first, out);
}

ConvStream::ConvStream(const ConvStack& stack, CpuPath path) : samples_(0, 1), stride_(1) {
  if (!stack.first_weight_.empty()) fail("a conv stack with a norm over time needs all of the waveform");
  for (const ConvStack::Layer& layer : stack.layers_) stride_ *= layer.stride;
  piece_ = std::make_unique<ConvPiece>(stack, path, stack.layers_.front().linear, 0);
}

ConvStream::~ConvStream() = default;

void ConvStream::push(std::span<const float> samples, const RowSpan& out) {
  std::copy(samples.begin(), samples.end(), samples_.append(static_cast<int64_t>(samples.size())).values);
  piece_->frames({samples_.row(samples_.begin()), samples_.begin()}, frames_, out);
  frames_ += out.count;
  samples_.drop_before(frames_ * stride_);
}

}  // namespace retort
