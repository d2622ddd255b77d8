// HuBERT and its kin (wav2vec 2.0, WavLM, data2vec-audio, DistilHuBERT, FitHuBERT, LSTM students) for
// inference, without LibTorch. What nn/hubert.h is to training, this is to features.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/matrix.h"
#include "kernels/product.h"
#include "model/layers.h"
#include "model/model_source.h"

namespace retort {

struct NativeOptions {
  Precision precision = Precision::f32;
  int threads = 1;
  CpuPath path = cpu_path();  // which must have the precision
};

class NativeModel {
 public:
  // Reads and packs the weights.
  NativeModel(const ModelSource& source, const NativeOptions& options);
  ~NativeModel();

  const ModelConfig& config() const;
  // ModelWeights::hash().
  const std::string& hash() const;

  // result[u][l]: what layers[l] gives for waveform u (samples at 16 kHz, as the model wants them). Neither
  // the other waveforms nor the number of threads change a value of it. An Error for a waveform that is too
  // short to have a frame.
  std::vector<std::vector<Matrix>> forward(const std::vector<std::vector<float>>& waveforms,
                                           const std::vector<Layer>& layers);

  // The conv stack's frames of one long waveform, run by run; norms over time see all of it.
  class ConvFrames {
   public:
    int64_t count() const { return count_; }
    // Frames from `first` on, into the rows from `row` on.
    void read(int64_t first, Matrix& rows, int64_t row) const;

   private:
    friend class NativeModel;
    struct State;
    ConvFrames(std::shared_ptr<State> state, int64_t count) : state_(std::move(state)), count_(count) {}
    std::shared_ptr<State> state_;
    int64_t count_;
  };
  // The model must outlive the result.
  ConvFrames conv_frames(std::vector<float> waveform);

  // What forward() computes from the conv stack's frames (frames, channels) on, of one utterance.
  std::vector<Matrix> forward_frames(const Matrix& frames, const std::vector<Layer>& layers);

  // Layers of one utterance, run by run, by a model whose frames wait for no later ones (model/streaming.h):
  // to the bit those of forward().
  class Stream {
   public:
    ~Stream();
    Stream(Stream&&) noexcept;
    Stream& operator=(Stream&&) noexcept;
    // How many frames so many more samples complete.
    int64_t frames(int64_t samples) const;
    // The frames that the next samples (as the model wants them) complete.
    std::vector<Matrix> push(std::span<const float> samples);
    // In place of push(), from the next frames of the conv stack on.
    std::vector<Matrix> push_frames(const Matrix& frames);

   private:
    friend class NativeModel;
    struct State;
    explicit Stream(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
  };
  // The model must outlive it. An Error that says what of the model waits for later frames.
  Stream stream(const std::vector<Layer>& layers);

 private:
  struct Network;
  std::unique_ptr<Network> network_;
};

}  // namespace retort
