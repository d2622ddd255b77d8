#include "encoder/frame_encoder.h"

#include "audio/fbank.h"
#include "audio/piped_audio.h"
#include "base/threads.h"
#include "encoder/model_encoder.h"
#include "model/normalise.h"

namespace retort {
namespace {

// Audio that one call spreads over threads, utterance by utterance; more only takes memory.
constexpr double feature_batch_seconds = 120;
constexpr double shortest_window = 5;  // seconds; less would be mostly overlap

// mfcc or fbank of each utterance alone.
class FeatureEncoder : public FrameEncoder {
 public:
  explicit FeatureEncoder(const EncoderOptions& options)
      : kind_(options.model), threads_(options.threads > 0 ? options.threads : available_threads()) {
    if (!options.layers.empty() && options.layers != kind_)
      fail_usage("--layer {}: {} has no layers; leave it out", options.layers, kind_);
    if (options.device != "cpu")
      fail_usage("--device {}: {} is computed on the cpu only", options.device, kind_);
    mfcc_.deltas = options.deltas;
    fbank_.mel_bins = options.mel_bins;
    const int64_t dim = is_mfcc() ? mfcc_.coefficients * (mfcc_.deltas ? 3 : 1) : fbank_.mel_bins;
    outputs_.push_back({kind_, dim, feature_hop});
  }

  const std::vector<EncoderOutput>& outputs() const override { return outputs_; }
  int64_t frames(std::size_t, int64_t samples) const override { return fbank_frames(samples); }
  BatchRule batches() const override { return {feature_batch_seconds, 0}; }

  std::vector<std::vector<Matrix>> encode(const std::vector<std::vector<float>>& waveforms) override {
    std::vector<std::vector<Matrix>> encoded(waveforms.size());
    parallel_for(waveforms.size(), threads_, [&](std::size_t i) {
      encoded[i].push_back(is_mfcc() ? mfcc(waveforms[i], mfcc_) : fbank(waveforms[i], fbank_));
    });
    return encoded;
  }

  FrameOrigin origin(std::size_t) const override {
    FrameOrigin origin;
    origin.model = fmt::format("{}-{}", kind_, outputs_.front().dim);
    origin.layer = kind_;
    origin.wave_norm = "none";
    origin.batching = "exact";
    origin.hop = feature_hop;
    return origin;
  }

 private:
  bool is_mfcc() const { return kind_ == "mfcc"; }

  std::string kind_;
  int threads_;
  MfccOptions mfcc_;
  FbankOptions fbank_;
  std::vector<EncoderOutput> outputs_;
};

// Whether the options that only models have are at their defaults.
bool is_plain(const EncoderOptions& options) {
  const EncoderOptions defaults;
  return options.window == defaults.window && options.batching == defaults.batching &&
         options.batch == defaults.batch && options.wave_norm.empty() && !options.force &&
         options.engine == defaults.engine && options.precision == defaults.precision;
}

// An option that would do nothing is refused.
void check_feature_options(const EncoderOptions& options) {
  const EncoderOptions defaults;
  if (options.mel_bins < 4 || options.mel_bins > 256)
    fail_usage("--mel-bins {}: should be 4 to 256", options.mel_bins);
  if (options.mel_bins != defaults.mel_bins && options.model != "fbank")
    fail_usage("--mel-bins {}: is of --model fbank only", options.mel_bins);
  if (options.deltas != defaults.deltas && options.model != "mfcc")
    fail_usage("--deltas {}: is of --model mfcc only", options.deltas);
  if (is_feature_name(options.model) && !is_plain(options))
    fail_usage(
        "--encoder, --precision, --window, --batching, --batch, --wave-norm and --force are of models, not "
        "of {}",
        options.model);
}

std::unique_ptr<FrameEncoder> make_torch_encoder(const EncoderOptions& options) {
  if (!make_torch_model_encoder)
    fail("{}: this program has no LibTorch, which --encoder torch and GPUs need", options.model);
  return make_torch_model_encoder(options);
}

void check_model_options(const EncoderOptions& options) {
  if (options.batching != "exact" && options.batching != "compat")
    fail_usage("--batching {}: should be exact or compat", options.batching);
  if (options.batching == "compat" && options.batch < 1)
    fail_usage("--batching compat: say with --batch how many utterances are padded together");
  if (options.batching == "exact" && options.batch != 0)
    fail_usage("--batch {}: is of --batching compat; exact batches change no feature", options.batch);
  if (options.engine != "auto" && options.engine != "native" && options.engine != "torch")
    fail_usage("--encoder {}: should be auto, native or torch", options.engine);
  if (options.engine == "native" && options.device != "cpu")
    fail_usage("--encoder native: computes on the CPU only, not on {}", options.device);
  if (options.precision == "int8" && wants_torch(options))
    fail_usage("--precision int8: is of --encoder native; LibTorch computes in f32 or bf16");
  if (options.window != 0 && options.window < shortest_window)
    fail_usage("--window {}: should be 0 (none) or at least {} seconds", options.window, shortest_window);
  if (!options.wave_norm.empty() && !is_wave_norm(options.wave_norm))
    fail_usage("--wave-norm {}: is none of {}", options.wave_norm, known_wave_norms);
  if (options.force && options.wave_norm.empty())
    fail_usage("--force: goes with --wave-norm, which is not given");
}

}  // namespace

bool is_feature_name(const std::string& model) {
  return model == "mfcc" || model == "fbank";
}

bool wants_torch(const EncoderOptions& options) {
  if (is_feature_name(options.model)) return false;
  return options.engine == "torch" || (options.engine == "auto" && options.device != "cpu");
}

void refuse_encoder_options(const EncoderOptions& options) {
  if (options.layers.empty() && is_plain(options)) return;
  fail_usage(
      "--layer, --encoder, --precision, --window, --batching, --batch, --wave-norm and --force need --model");
}

const std::string& stored_frames_input(const EncoderOptions& options,
                                       const std::vector<std::string>& inputs) {
  refuse_encoder_options(options);
  if (inputs.size() != 1) fail_usage("INPUT: one frame store, .npy or Kaldi table, or --model with audio");
  if (is_standard_input(inputs.front()))
    fail_usage("-: audio on standard input needs --model; ark:- reads a table from there");
  return inputs.front();
}

std::unique_ptr<FrameEncoder> make_frame_encoder(const EncoderOptions& options) {
  check_feature_options(options);
  check_model_options(options);
  if (is_feature_name(options.model)) return std::make_unique<FeatureEncoder>(options);
  return wants_torch(options) ? make_torch_encoder(options) : make_native_model_encoder(options);
}

}  // namespace retort
