#include "encoder/audio_frames.h"

#include <sndfile.h>

#include <catch2/catch.hpp>
#include <cmath>

#include "audio/fbank.h"
#include "base/files.h"

using namespace retort;
namespace fs = std::filesystem;

namespace {

Utterance write_tone(const fs::path& folder, const std::string& id, int64_t samples) {
  std::vector<float> tone(static_cast<size_t>(samples));
  for (size_t i = 0; i < tone.size(); ++i) tone[i] = 0.3f * std::sin(0.05f * static_cast<float>(i));
  SF_INFO info{};
  info.samplerate = model_rate;
  info.channels = 1;
  info.format = SF_FORMAT_WAV | SF_FORMAT_PCM_16;
  Utterance utterance;
  utterance.id = id;
  utterance.path = folder / (id + ".wav");
  utterance.samples = samples;
  SNDFILE* file = sf_open(utterance.path.c_str(), SFM_WRITE, &info);
  REQUIRE(file != nullptr);
  REQUIRE(sf_write_float(file, tone.data(), samples) == samples);
  sf_close(file);
  return utterance;
}

// Remembers the batches it was given; a "frame" is the waveform's length.
class CountingEncoder : public FrameEncoder {
 public:
  const std::vector<EncoderOutput>& outputs() const override { return outputs_; }
  int64_t frames(std::size_t, int64_t) const override { return 1; }
  std::vector<std::vector<Matrix>> encode(const std::vector<std::vector<float>>& waveforms) override {
    std::vector<std::vector<Matrix>> encoded;
    size_t longest = 0;
    for (const auto& waveform : waveforms) {
      Matrix frame(1, 1);
      frame(0, 0) = static_cast<float>(waveform.size());
      encoded.push_back({frame});
      longest = std::max(longest, waveform.size());
    }
    padded_samples.push_back(longest * waveforms.size());
    largest_batch = std::max(largest_batch, waveforms.size());
    return encoded;
  }
  FrameOrigin origin(std::size_t) const override { return {}; }
  BatchRule batches() const override { return {1, 0}; }

  std::vector<size_t> padded_samples;
  size_t largest_batch = 0;

 private:
  std::vector<EncoderOutput> outputs_{{"size", 1, 320}};
};

}  // namespace

TEST_CASE("utterances come in corpus order, bad ones named and skipped, batches within their limit",
          "[encoder]") {
  const TemporaryFolder folder;
  std::vector<Utterance> utterances;
  for (int i = 0; i < 60; ++i)
    utterances.push_back(write_tone(folder.path(), fmt::format("u{:02}", i), 1000 + (i * 7919) % 9000));
  utterances[5].path = folder.path() / "missing.wav";
  utterances[17].samples = 999999;
  utterances.push_back(write_tone(folder.path(), "long", 40000));  // longer than a batch may be
  const Corpus corpus(utterances);
  CountingEncoder encoder;
  BadItems bad("test", 1.0);
  std::vector<std::string> ids;
  for_each_encoded(corpus, {1, corpus.size()}, encoder, 2, "test", bad, [&](EncodedUtterance encoded) {
    ids.push_back(encoded.utterance->id);
    CHECK(encoded.samples == encoded.utterance->samples);
    CHECK(encoded.outputs.at(0)(0, 0) == static_cast<float>(encoded.samples));
  });
  std::vector<std::string> expected;
  for (size_t i = 1; i < utterances.size(); ++i)
    if (i != 5 && i != 17) expected.push_back(utterances[i].id);
  CHECK(ids == expected);
  CHECK(bad.count() == 2);
  for (const size_t samples : encoder.padded_samples) CHECK((samples <= model_rate || samples == 40000));
  CHECK(encoder.largest_batch > 2);
}

TEST_CASE("mfcc and fbank are encoders", "[encoder]") {
  EncoderOptions options;
  options.model = "mfcc";
  const auto encoder = make_frame_encoder(options);
  REQUIRE(encoder->outputs().size() == 1);
  CHECK(encoder->outputs()[0].dim == 39);
  CHECK(encoder->outputs()[0].hop == 160);
  std::vector<std::vector<float>> waves{std::vector<float>(5000, 0.1f), std::vector<float>(700, 0.2f)};
  waves[0][100] = 0.9f;
  const auto frames = encoder->encode(waves);
  const Matrix alone = mfcc(waves[0], {});
  CHECK(std::equal(alone.values().begin(), alone.values().end(), frames[0][0].values().begin()));
  CHECK(frames[1][0].rows() == encoder->frames(0, 700));
  CHECK(encoder->origin(0).layer == "mfcc");
  CHECK(encoder->origin(0).hop == 160);

  options.model = "fbank";
  options.mel_bins = 40;
  const auto banks = make_frame_encoder(options);
  CHECK(banks->outputs()[0].dim == 40);
  CHECK(banks->origin(0).model != encoder->origin(0).model);
  options.layers = "enc3";
  CHECK_THROWS_WITH(make_frame_encoder(options), Catch::Contains("fbank has no layers"));
}
