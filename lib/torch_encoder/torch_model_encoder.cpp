#include <torch/torch.h>

#include <algorithm>
#include <numeric>
#include <optional>

#include "audio/waveform.h"
#include "base/signals.h"
#include "base/threads.h"
#include "encoder/length_buckets.h"
#include "encoder/model_encoder.h"
#include "kernels/product.h"
#include "model/checkpoint.h"
#include "model/layers.h"
#include "nn/hubert.h"
#include "nn/torch_device.h"
#include "torch_encoder/torch_device_link.h"
#include "torch_encoder/use_torch_encoder.h"

namespace retort {
namespace {

// A bucket costs a GPU about as much beside its samples as this many seconds of audio do, while its kernels
// are launched. An estimate: too much makes padding, too little makes buckets that are no work.
constexpr double bucket_overhead_seconds = 8;
// Batches of the largest size whose utterances are sorted by length together.
constexpr double batches_together = 8;

// The first rows of an utterance's frames.
Matrix to_matrix(const at::Tensor& frames, int64_t rows) {
  const at::Tensor values = frames.narrow(0, 0, rows).to(at::kCPU, at::kFloat).contiguous();
  Matrix matrix(values.size(0), values.size(1));
  std::copy_n(values.const_data_ptr<float>(), values.numel(), matrix.data());
  return matrix;
}

class TorchModelEncoder : public ModelEncoder {
 public:
  explicit TorchModelEncoder(const EncoderOptions& options)
      : ModelEncoder(options, open_model(options.model)),
        device_(parse_device(options.device)),
        link_(device_) {
    if (device_.is_cuda()) at::globalContext().setAllowTF32CuDNN(false);  // f32 means f32
    at::set_num_threads(threads());
    const ModelWeights weights = read_weights(source());
    set_hash(weights.hash());
    network_ = HubertModel(weights);
    if (parse_precision(options.precision) == Precision::bf16) network_->round_to_bf16();
    network_->to(device_);
    network_->eval();
    const std::vector<float> shortest(static_cast<size_t>(config().receptive_field()));
    encode_together({shortest});  // makes what it keeps, before threads do
  }

  // A GPU gets several batches in one call, so that it has the next one while the last one is taken apart.
  BatchRule batches() const override {
    if (device_.is_cuda()) return {batches_together * most_batch_seconds, batch_utterances(), 1};
    return {cpu_batch_seconds(), batch_utterances()};
  }

  std::vector<std::vector<Matrix>> encode(const std::vector<std::vector<float>>& waveforms) override {
    if (is_compat()) return encode_together(waveforms);
    const auto too_long = [this](const std::vector<float>& waveform) { return is_long(waveform); };
    if (std::any_of(waveforms.begin(), waveforms.end(), too_long)) return encode_apart(waveforms);
    const bool one_each = device_.is_cpu() && waveforms.size() >= static_cast<size_t>(threads());
    return one_each ? encode_each(waveforms) : encode_buckets(waveforms);
  }

 private:
  // Utterances that are computed together, and what becomes of them.
  struct Bucket {
    std::vector<std::size_t> items;
    std::vector<int64_t> lengths;
    DeviceLink::Arrival outputs;  // a layer each
  };
  using Encoded = std::vector<std::vector<Matrix>>;

  // Long utterances by windows, the others as ever.
  Encoded encode_apart(const std::vector<std::vector<float>>& waveforms) {
    Encoded encoded(waveforms.size());
    std::vector<std::vector<float>> others;
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < waveforms.size(); ++i) {
      if (is_long(waveforms[i])) {
        encoded[i] = encode_long(waveforms[i]);
      } else {
        others.push_back(waveforms[i]);
        places.push_back(i);
      }
    }
    if (others.empty()) return encoded;
    Encoded outputs = encode(others);
    for (std::size_t i = 0; i < places.size(); ++i) encoded[places[i]] = std::move(outputs[i]);
    return encoded;
  }

  // Every thread takes whole utterances: no padding, and no operator has threads to wait for.
  Encoded encode_each(const std::vector<std::vector<float>>& waveforms) {
    Encoded encoded(waveforms.size());
    const OneThreadPerOperator one_thread;
    parallel_for(waveforms.size(), threads(),
                 [&](std::size_t i) { encoded[i] = std::move(encode_together({waveforms[i]}).front()); });
    return encoded;
  }

  // Padded batches of similar lengths. While the device computes one, the last one's outputs are taken apart
  // and the next one is put together.
  Encoded encode_buckets(const std::vector<std::vector<float>>& waveforms) {
    const c10::InferenceMode inference;
    std::vector<int64_t> lengths;
    for (const std::vector<float>& waveform : waveforms)
      lengths.push_back(static_cast<int64_t>(waveform.size()));
    const BucketLimits limits{static_cast<int64_t>(most_batch_seconds * model_rate),
                              static_cast<int64_t>(bucket_overhead_seconds * model_rate)};
    Encoded encoded(waveforms.size());
    std::optional<Bucket> last;
    for (std::vector<std::size_t>& items : length_buckets(lengths, limits)) {
      throw_if_stopped();
      Bucket next = compute(waveforms, std::move(items));
      if (last) take_apart(*last, encoded);
      last = std::move(next);
    }
    if (last) take_apart(*last, encoded);
    return encoded;
  }

  // One padded batch.
  Encoded encode_together(const std::vector<std::vector<float>>& waveforms) {
    const c10::InferenceMode inference;
    std::vector<std::size_t> all(waveforms.size());
    std::iota(all.begin(), all.end(), std::size_t{0});
    Encoded encoded(waveforms.size());
    take_apart(compute(waveforms, std::move(all)), encoded);
    return encoded;
  }

  // Asks for a bucket's frames, and on a GPU returns before they are there.
  Bucket compute(const std::vector<std::vector<float>>& waveforms, std::vector<std::size_t> items) {
    Bucket bucket{std::move(items), {}, {}};
    for (const std::size_t item : bucket.items)
      bucket.lengths.push_back(static_cast<int64_t>(waveforms[item].size()));
    const at::Tensor padded = link_.send(pad(waveforms, bucket));
    // The Python tools give models with GroupNorm no lengths, so that all are as long as the longest.
    const bool see_padding = is_compat() && config().conv_norm == ConvNorm::group;
    const HubertStates states = network_->forward(
        padded, see_padding ? std::vector<int64_t>(bucket.lengths.size(), padded.size(1)) : bucket.lengths,
        forward_options());
    std::vector<at::Tensor> outputs;
    for (const Layer& layer : layers()) outputs.push_back(tapped(states, layer));
    bucket.outputs = link_.fetch(outputs);
    return bucket;
  }

  // (utterances, longest) normalised samples, zeros after each utterance's end.
  at::Tensor pad(const std::vector<std::vector<float>>& waveforms, const Bucket& bucket) const {
    const int64_t longest = *std::max_element(bucket.lengths.begin(), bucket.lengths.end());
    const auto count = static_cast<int64_t>(bucket.items.size());
    const at::Tensor padded = link_.host_memory({count, longest}, at::kFloat);
    auto* const samples = padded.mutable_data_ptr<float>();
    for_each_item(bucket, [&](std::size_t i) {
      const std::vector<float> waveform = normalised(waveforms[bucket.items[i]]);
      float* const row = samples + static_cast<int64_t>(i) * longest;
      std::fill(std::copy(waveform.begin(), waveform.end(), row), row + longest, 0.0f);
    });
    return padded;
  }

  void take_apart(const Bucket& bucket, Encoded& encoded) const {
    const std::vector<at::Tensor>& outputs = bucket.outputs.wait();
    for_each_item(bucket, [&](std::size_t i) {
      const c10::InferenceMode inference;
      for (std::size_t o = 0; o < layers().size(); ++o)
        encoded[bucket.items[i]].push_back(to_matrix(outputs[o][static_cast<int64_t>(i)],
                                                     layer_frames(layers()[o], config(), bucket.lengths[i])));
    });
  }

  // On all threads, but where threads have utterances of their own already.
  template <class Work>
  void for_each_item(const Bucket& bucket, const Work& work) const {
    if (bucket.items.size() == 1) return work(0);
    const OneThreadPerOperator one_thread;
    parallel_for(bucket.items.size(), threads(), work);
  }

  std::vector<Matrix> encode_long(const std::vector<float>& waveform) {
    const c10::InferenceMode inference;
    const at::Tensor samples = pad_waveforms({normalised(waveform)})[0].to(device_);
    const ConvFrames conv = network_->conv_frames(samples);
    return encode_windows(samples.size(0), conv.count(), [&](int64_t first, int64_t count) {
      const HubertStates states = network_->forward_frames(conv.frames(first, count), forward_options());
      std::vector<Matrix> rows;
      for (const Layer& layer : layers()) {
        const at::Tensor frames = tapped(states, layer)[0];
        rows.push_back(to_matrix(frames, frames.size(0)));
      }
      return rows;
    });
  }

  HubertForwardOptions forward_options() const {
    HubertForwardOptions options;
    options.last_block = last_block();
    options.prediction_heads = std::any_of(
        layers().begin(), layers().end(), [](const Layer& layer) { return layer.kind == Layer::Kind::head; });
    return options;
  }

  // Blocks that have to run for the deepest layer asked for.
  int last_block() const {
    int deepest = 0;
    for (const Layer& layer : layers()) {
      if (layer.kind == Layer::Kind::final || layer.kind == Layer::Kind::head) return -1;
      if (layer.kind == Layer::Kind::enc) deepest = std::max(deepest, layer.index);
    }
    return deepest;
  }

  at::Tensor tapped(const HubertStates& states, const Layer& layer) const {
    switch (layer.kind) {
      case Layer::Kind::conv:
        return states.conv;
      case Layer::Kind::proj:
        return states.proj;
      case Layer::Kind::enc:
        return states.enc[static_cast<std::size_t>(layer.index)];
      case Layer::Kind::final:
        return states.final;
      case Layer::Kind::head: {
        const std::vector<int>& heads = config().prediction.layers;
        const auto place = std::find(heads.begin(), heads.end(), layer.index) - heads.begin();
        return states.heads[static_cast<std::size_t>(place)];
      }
    }
    return {};
  }

  at::Device device_;
  DeviceLink link_;
  HubertModel network_{nullptr};
};

}  // namespace

void use_torch_encoder() {
  make_torch_model_encoder = [](const EncoderOptions& options) -> std::unique_ptr<FrameEncoder> {
    return std::make_unique<TorchModelEncoder>(options);
  };
}

}  // namespace retort
