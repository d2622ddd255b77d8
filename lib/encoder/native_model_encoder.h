// Layers of a model on the CPU, without LibTorch.
#pragma once

#include <string>
#include <vector>

#include "encoder/model_encoder.h"
#include "native/native_model.h"

namespace retort {

class NativeModelEncoder : public ModelEncoder {
 public:
  // A usage Error for a precision that this CPU has no instructions for.
  explicit NativeModelEncoder(const EncoderOptions& options);

  NativeModel& model() { return model_; }
  BatchRule batches() const override { return {cpu_batch_seconds(), batch_utterances()}; }
  std::vector<std::vector<Matrix>> encode(const std::vector<std::vector<float>>& waveforms) override;

 private:
  std::vector<std::vector<Matrix>> encode_padded(const std::vector<std::vector<float>>& waveforms);
  std::vector<Matrix> encode_long(const std::vector<float>& waveform);
  std::vector<Matrix> encode_run_by_run(const std::vector<float>& waveform);

  NativeModel model_;
};

}  // namespace retort
