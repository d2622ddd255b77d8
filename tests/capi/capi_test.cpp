// libretort as its callers see it, against the models and states of the fixtures.
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/files.h"
#include "base/random.h"
#include "retort/retort.h"
#include "store/codebook.h"
#include "store/npy.h"

using namespace retort;
namespace fs = std::filesystem;

namespace {

const std::string one_way = (fs::path(RETORT_FIXTURES) / "lstm" / "forward").string();
const std::string transformer = (fs::path(RETORT_FIXTURES) / "model" / "post").string();

struct Closer {
  void operator()(retort_model* model) const { retort_close(model); }
  void operator()(retort_codebook* codebook) const { retort_codebook_close(codebook); }
  void operator()(retort_stream* stream) const { retort_stream_close(stream); }
};
using Model = std::unique_ptr<retort_model, Closer>;
using Book = std::unique_ptr<retort_codebook, Closer>;
using Stream = std::unique_ptr<retort_stream, Closer>;

Model open_model(const std::string& path, const char* precision = nullptr) {
  Model model(retort_open(path.c_str(), 2, precision));
  INFO(retort_error());
  REQUIRE(model);
  return model;
}

std::vector<float> noise(size_t samples, uint64_t seed) {
  Random random(seed);
  std::vector<float> waveform(samples);
  for (float& sample : waveform) sample = static_cast<float>(random.uniform() - 0.4);
  return waveform;
}

int64_t count_of(const std::vector<float>& values) {
  return static_cast<int64_t>(values.size());
}

std::vector<float> features(retort_model* model, const char* layer, const std::vector<float>& waveform) {
  const int64_t frames = retort_frames(model, layer, count_of(waveform));
  std::vector<float> values(static_cast<size_t>(frames * retort_dim(model, layer)));
  INFO(retort_error());
  REQUIRE(retort_features(model, layer, waveform.data(), count_of(waveform), values.data(), frames) ==
          frames);
  return values;
}

std::vector<int32_t> units(retort_codebook* codebook, const std::vector<float>& waveform, int64_t frames) {
  std::vector<int32_t> labels(static_cast<size_t>(frames));
  INFO(retort_error());
  REQUIRE(retort_units(codebook, waveform.data(), count_of(waveform), labels.data(), frames) == frames);
  return labels;
}

// A codebook folder that is gone at the end: `clusters` of the layer's frames of some noise.
class MadeCodebook {
 public:
  MadeCodebook(retort_model* model, const char* layer, int64_t clusters) {
    const int64_t dim = retort_dim(model, layer);
    std::vector<float> values = features(model, layer, noise(10000, 5));
    values.resize(static_cast<size_t>(clusters * dim));
    codebook_.centroids = Matrix(clusters, dim, std::move(values));
    codebook_.origin.model = retort_hash(model);
    codebook_.origin.layer = layer;
    codebook_.origin.wave_norm = "none";
    codebook_.origin.hop = retort_hop(model, layer);
    codebook_.report = Json::object();
    write_codebook(folder_.path(), codebook_);
  }

  std::string path() const { return folder_.path().string(); }
  const Codebook& codebook() const { return codebook_; }

 private:
  TemporaryFolder folder_;
  Codebook codebook_;
};

}  // namespace

TEST_CASE("a model says what it gives") {
  CHECK(std::string(retort_version()) == RETORT_VERSION);
  const Model model = open_model(one_way);
  CHECK(std::string(retort_hash(model.get())).size() == 32);
  CHECK(retort_rate(model.get()) == 16000);
  std::vector<std::string> names;
  while (const char* name = retort_layer(model.get(), static_cast<int32_t>(names.size())))
    names.emplace_back(name);
  CHECK(names == std::vector<std::string>{"conv", "proj", "enc0", "enc1", "enc2", "final"});
  CHECK(retort_layer(model.get(), -1) == nullptr);
  CHECK(retort_dim(model.get(), "conv") == 8);
  CHECK(retort_dim(model.get(), nullptr) == 13);
  CHECK(retort_dim(model.get(), "fairseq:1") == 13);
  CHECK(retort_hop(model.get(), "enc1") == 320);
  CHECK(retort_frames(model.get(), "enc1", 399) == 0);
  CHECK(retort_frames(model.get(), "enc1", 16000) == 49);
}

TEST_CASE("features are PyTorch's") {
  const Matrix input = read_npy_matrix(fs::path(RETORT_FIXTURES) / "model" / "input.npy");
  const std::vector<float> waveform(input.values().begin(), input.values().end());
  const Matrix expected = read_npy_matrix(fs::path(transformer) / "enc2.npy");
  const Model model = open_model(transformer);
  const std::vector<float> values = features(model.get(), "enc2", waveform);
  REQUIRE(values.size() == expected.values().size());
  for (size_t i = 0; i < values.size(); ++i) CHECK(values[i] == Approx(expected.values()[i]).margin(1e-4));
}

TEST_CASE("waveforms of a batch give what they give alone") {
  const Model model = open_model(transformer);
  const MadeCodebook made(model.get(), "enc1", 5);
  const Book book(retort_codebook_open(model.get(), made.path().c_str()));
  REQUIRE(book);
  std::vector<std::vector<float>> waveforms, together;
  std::vector<std::vector<int32_t>> labels;
  std::vector<const float*> pointers;
  std::vector<int64_t> samples;
  for (size_t i = 0; i < 5; ++i) {
    waveforms.push_back(noise(400 + 3000 * ((i * 3) % 5), i));
    samples.push_back(count_of(waveforms.back()));
    const int64_t frames = retort_frames(model.get(), "enc1", samples.back());
    together.emplace_back(static_cast<size_t>(frames * retort_dim(model.get(), "enc1")));
    labels.emplace_back(static_cast<size_t>(frames));
  }
  std::vector<float*> outputs;
  std::vector<int32_t*> unit_outputs;
  for (size_t i = 0; i < waveforms.size(); ++i) {
    pointers.push_back(waveforms[i].data());
    outputs.push_back(together[i].data());
    unit_outputs.push_back(labels[i].data());
  }
  REQUIRE(retort_features_batch(model.get(), "enc1", 5, pointers.data(), samples.data(), outputs.data()) ==
          0);
  REQUIRE(retort_units_batch(book.get(), 5, pointers.data(), samples.data(), unit_outputs.data()) == 0);
  for (size_t i = 0; i < waveforms.size(); ++i) {
    CHECK(together[i] == features(model.get(), "enc1", waveforms[i]));
    CHECK(labels[i] == units(book.get(), waveforms[i], static_cast<int64_t>(labels[i].size())));
  }
}

TEST_CASE("units are the nearest centroids") {
  const Model model = open_model(one_way);
  const MadeCodebook made(model.get(), "enc2", 7);
  const Book book(retort_codebook_open(model.get(), made.path().c_str()));
  REQUIRE(book);
  CHECK(retort_codebook_units(book.get()) == 7);
  CHECK(std::string(retort_codebook_layer(book.get())) == "enc2");
  const std::vector<float> waveform = noise(20000, 9);
  const std::vector<float> frames = features(model.get(), "enc2", waveform);
  const int64_t dim = retort_dim(model.get(), "enc2");
  const std::vector<int32_t> found = units(book.get(), waveform, count_of(frames) / dim);
  for (size_t t = 0; t < found.size(); ++t) {
    const auto distance = [&](int64_t k) {
      double sum = 0;
      for (int64_t j = 0; j < dim; ++j)
        sum += std::pow(static_cast<double>(frames[t * static_cast<size_t>(dim) + static_cast<size_t>(j)]) -
                            static_cast<double>(made.codebook().centroids(k, j)),
                        2);
      return sum;
    };
    for (int64_t k = 0; k < 7; ++k) CHECK(distance(found[t]) <= distance(k));
  }
}

TEST_CASE("a stream in pieces of any size gives what the whole gives, to the bit, and again after a reset") {
  for (const char* precision : {"f32", "int8"}) {
    const Model model = open_model(one_way, precision);
    const MadeCodebook made(model.get(), "final", 6);
    const Book book(retort_codebook_open(model.get(), made.path().c_str()));
    REQUIRE(book);
    CHECK(retort_latency(model.get()) == 400);
    const std::vector<float> waveform = noise(25000, 2);
    const std::vector<float> whole = features(model.get(), "final", waveform);
    const auto dim = static_cast<size_t>(retort_dim(model.get(), "final"));
    const std::vector<int32_t> labels =
        units(book.get(), waveform, count_of(whole) / static_cast<int64_t>(dim));
    const Stream stream(retort_stream_open_units(book.get()));
    REQUIRE(stream);
    Random random(4);
    for (const size_t most : {50u, 700u, 9000u}) {
      REQUIRE(retort_stream_reset(stream.get()) == 0);
      std::vector<float> streamed(whole.size());
      std::vector<int32_t> streamed_labels(labels.size());
      size_t frame = 0;
      for (size_t first = 0; first < waveform.size();) {
        const auto count = static_cast<int64_t>(std::min(waveform.size() - first, random.below(most)));
        const int64_t expected = retort_stream_frames(stream.get(), count);
        // One more frame than there is room for is refused, and the samples can be given again.
        if (expected > 0)
          CHECK(retort_push(stream.get(), waveform.data() + first, count, streamed.data(), nullptr,
                            expected - 1) == -1);
        REQUIRE(retort_push(stream.get(), waveform.data() + first, count, streamed.data() + frame * dim,
                            streamed_labels.data() + frame, expected) == expected);
        frame += static_cast<size_t>(expected);
        first += static_cast<size_t>(count);
      }
      CHECK(streamed == whole);
      CHECK(streamed_labels == labels);
    }
  }
}

TEST_CASE("handles may be closed in any order") {
  Model model = open_model(one_way);
  const MadeCodebook made(model.get(), "enc1", 3);
  Book book(retort_codebook_open(model.get(), made.path().c_str()));
  const Stream stream(retort_stream_open_units(book.get()));
  model.reset();
  book.reset();
  const std::vector<float> waveform = noise(4000, 1);
  std::vector<int32_t> labels(12);
  CHECK(retort_push(stream.get(), waveform.data(), 4000, nullptr, labels.data(), 12) == 12);
  retort_close(nullptr);
  retort_codebook_close(nullptr);
  retort_stream_close(nullptr);
}

TEST_CASE("threads may share a model, and have errors of their own") {
  const Model model = open_model(one_way);
  const std::vector<float> waveform = noise(8000, 6);
  const std::vector<float> alone = features(model.get(), "final", waveform);
  CHECK(retort_dim(model.get(), "enc9") == -1);
  const std::string error = retort_error();
  CHECK_FALSE(error.empty());
  std::vector<std::vector<float>> found(4, std::vector<float>(alone.size()));
  std::vector<std::string> errors(4, "unset");
  std::vector<std::thread> threads;
  for (size_t i = 0; i < found.size(); ++i)
    threads.emplace_back([&, i] {
      for (int round = 0; round < 5; ++round)
        retort_features(model.get(), nullptr, waveform.data(), count_of(waveform), found[i].data(), 24);
      errors[i] = retort_error();
    });
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 0; i < found.size(); ++i) {
    CHECK(found[i] == alone);
    CHECK(errors[i].empty());
  }
  CHECK(retort_error() == error);
}

TEST_CASE("what cannot be done is said in one line") {
  const auto says = [](bool failed, const std::string& text) {
    CHECK(failed);
    CHECK_THAT(std::string(retort_error()), Catch::Contains(text));
    CHECK(std::strchr(retort_error(), '\n') == nullptr);
  };
  const Model model = open_model(one_way);
  const Model other = open_model(transformer);
  const MadeCodebook made(model.get(), "enc2", 4);
  const Book book(retort_codebook_open(model.get(), made.path().c_str()));
  std::vector<float> waveform = noise(4000, 3);
  std::vector<float> frames(12 * 13);
  std::vector<int32_t> labels(12);
  float* const room = frames.data();

  says(retort_open("/nowhere", 1, nullptr) == nullptr, "/nowhere");
  says(retort_open(one_way.c_str(), -1, nullptr) == nullptr, "threads -1: should be 0 (all) or more");
  says(retort_open(one_way.c_str(), 1, "f64") == nullptr, "f64");
  says(retort_codebook_open(model.get(), one_way.c_str()) == nullptr, "is no codebook");
  says(retort_codebook_open(other.get(), made.path().c_str()) == nullptr,
       "the codebook was made from frames with");
  says(retort_dim(model.get(), "enc7") == -1, "enc7");
  says(retort_features(model.get(), "enc1", waveform.data(), 399, room, 12) == -1,
       "the waveform: 399 samples are too few for a frame of enc1");
  says(retort_features(model.get(), "enc1", waveform.data(), 4000, room, 11) == -1,
       "there is room for 11 frames, 12 are needed");
  says(retort_features(model.get(), "enc1", waveform.data(), -1, room, 12) == -1, "-1 samples");
  says(retort_resample(waveform.data(), 4000, 0, room, 10) == -1, "0 samples per second");
  says(retort_resample(waveform.data(), 4000, 8000, room, 10) == -1, "there is room for 10 samples, 8000");

  const std::vector<float> short_one(100);
  const float* const waveforms[] = {waveform.data(), short_one.data()};
  const int64_t samples[] = {4000, 100};
  float* const outputs[] = {room, room};
  says(retort_features_batch(model.get(), nullptr, 2, waveforms, samples, outputs) == -1,
       "waveform 1: 100 samples are too few for a frame of final");

  const Stream stream(retort_stream_open(model.get(), "enc1"));
  says(retort_push(stream.get(), waveform.data(), 4000, nullptr, labels.data(), 12) == -1,
       "units are of streams that retort_stream_open_units() made");
  waveform[17] = std::numeric_limits<float>::quiet_NaN();
  says(retort_push(stream.get(), waveform.data(), 4000, room, nullptr, 12) == -1,
       "the piece: sample 17 is nan");
  says(retort_units(book.get(), waveform.data(), 4000, labels.data(), 12) == -1,
       "the waveform: sample 17 is nan");

  const std::string why =
      "the model cannot stream: its conv stack has a norm over time (GroupNorm); its blocks "
      "attend to all frames";
  says(retort_latency(other.get()) == -1, why);
  says(retort_stream_open(other.get(), nullptr) == nullptr, why);
}

TEST_CASE("null pointers are named") {
  const auto says = [](bool failed, const std::string& text) {
    CHECK(failed);
    CHECK(std::string(retort_error()) == text + " is a null pointer");
  };
  const Model model = open_model(one_way);
  const MadeCodebook made(model.get(), "enc2", 4);
  const Book book(retort_codebook_open(model.get(), made.path().c_str()));
  const Stream stream(retort_stream_open(model.get(), nullptr));
  const std::vector<float> waveform(4000);
  float sample = 0;
  const int64_t samples = 4000;
  const float* const waveforms[] = {waveform.data()};
  float* const no_frames[] = {nullptr};
  says(retort_open(nullptr, 1, nullptr) == nullptr, "the path");
  says(retort_hash(nullptr) == nullptr, "the model");
  says(retort_rate(nullptr) == -1, "the model");
  says(retort_layer(nullptr, 0) == nullptr, "the model");
  says(retort_dim(nullptr, nullptr) == -1, "the model");
  says(retort_hop(nullptr, nullptr) == -1, "the model");
  says(retort_frames(nullptr, nullptr, 1) == -1, "the model");
  says(retort_latency(nullptr) == -1, "the model");
  says(retort_features(nullptr, nullptr, &sample, 1, &sample, 1) == -1, "the model");
  says(retort_features(model.get(), nullptr, nullptr, 4000, &sample, 12) == -1, "the waveform");
  says(retort_features(model.get(), nullptr, waveform.data(), 4000, nullptr, 12) == -1,
       "the room for frames");
  says(retort_features_batch(model.get(), nullptr, 1, nullptr, &samples, no_frames) == -1, "waveforms");
  says(retort_features_batch(model.get(), nullptr, 1, waveforms, nullptr, no_frames) == -1, "samples");
  says(retort_features_batch(model.get(), nullptr, 1, waveforms, &samples, nullptr) == -1, "frames");
  says(retort_features_batch(model.get(), nullptr, 1, waveforms, &samples, no_frames) == -1,
       "the room for frames");
  says(retort_codebook_open(nullptr, "") == nullptr, "the model");
  says(retort_codebook_open(model.get(), nullptr) == nullptr, "the path");
  says(retort_codebook_units(nullptr) == -1, "the codebook");
  says(retort_codebook_layer(nullptr) == nullptr, "the codebook");
  says(retort_units(nullptr, &sample, 1, nullptr, 0) == -1, "the codebook");
  says(retort_units(book.get(), waveform.data(), 4000, nullptr, 12) == -1, "the room for units");
  says(retort_stream_open(nullptr, nullptr) == nullptr, "the model");
  says(retort_stream_open_units(nullptr) == nullptr, "the codebook");
  says(retort_stream_frames(nullptr, 1) == -1, "the stream");
  says(retort_push(nullptr, &sample, 1, &sample, nullptr, 0) == -1, "the stream");
  says(retort_push(stream.get(), nullptr, 1, &sample, nullptr, 0) == -1, "the waveform");
  says(retort_stream_reset(nullptr) == -1, "the stream");
  says(retort_resample(nullptr, 1, 8000, &sample, 2) == -1, "the waveform");
}

TEST_CASE("audio at another rate becomes what models take") {
  std::vector<float> tone(8000);
  for (size_t i = 0; i < tone.size(); ++i) tone[i] = std::sin(static_cast<float>(i) * 0.1f);
  CHECK(retort_resampled(8000, 8000) == 16000);
  CHECK(retort_resampled(44101, 44100) == 16001);
  std::vector<float> twice(16000);
  REQUIRE(retort_resample(tone.data(), 8000, 8000, twice.data(), 16000) == 16000);
  for (size_t i = 2000; i < 14000; i += 2) CHECK(twice[i] == Approx(tone[i / 2]).margin(1e-3));
}
