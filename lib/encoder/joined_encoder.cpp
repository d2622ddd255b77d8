#include "encoder/joined_encoder.h"

#include <algorithm>

#include "base/error.h"

namespace retort {
namespace {

class JoinedEncoder : public FrameEncoder {
 public:
  JoinedEncoder(std::unique_ptr<FrameEncoder> first, std::unique_ptr<FrameEncoder> second)
      : first_(std::move(first)), second_(std::move(second)), outputs_(first_->outputs()) {
    outputs_.insert(outputs_.end(), second_->outputs().begin(), second_->outputs().end());
    if (first_->batches().utterances != second_->batches().utterances)
      fail_usage("--batching compat: is of models only; the two are to see the same batches");
  }

  const std::vector<EncoderOutput>& outputs() const override { return outputs_; }
  int64_t frames(std::size_t output, int64_t samples) const override {
    return is_first(output) ? first_->frames(output, samples) : second_->frames(of_second(output), samples);
  }
  FrameOrigin origin(std::size_t output) const override {
    return is_first(output) ? first_->origin(output) : second_->origin(of_second(output));
  }
  BatchRule batches() const override {
    const BatchRule first = first_->batches(), second = second_->batches();
    return {std::min(first.seconds, second.seconds), first.utterances,
            std::max(first.together, second.together)};
  }

  std::vector<std::vector<Matrix>> encode(const std::vector<std::vector<float>>& waveforms) override {
    std::vector<std::vector<Matrix>> encoded = first_->encode(waveforms);
    std::vector<std::vector<Matrix>> others = second_->encode(waveforms);
    for (std::size_t i = 0; i < encoded.size(); ++i)
      std::move(others[i].begin(), others[i].end(), std::back_inserter(encoded[i]));
    return encoded;
  }

 private:
  bool is_first(std::size_t output) const { return output < first_->outputs().size(); }
  std::size_t of_second(std::size_t output) const { return output - first_->outputs().size(); }

  std::unique_ptr<FrameEncoder> first_, second_;
  std::vector<EncoderOutput> outputs_;
};

}  // namespace

std::unique_ptr<FrameEncoder> join_encoders(std::unique_ptr<FrameEncoder> first,
                                            std::unique_ptr<FrameEncoder> second) {
  return std::make_unique<JoinedEncoder>(std::move(first), std::move(second));
}

}  // namespace retort
