#include "audio/fbank.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>

#include "audio/waveform.h"
#include "base/files.h"

using namespace retort;

namespace {

const std::filesystem::path fixtures = std::filesystem::path(RETORT_FIXTURES) / "audio";

// A float32 .npy of version 1.0, as numpy.save writes it, of `columns` columns.
Matrix read_golden(const std::string& name, int64_t columns) {
  const std::string bytes = read_file(fixtures / name);
  const auto header = static_cast<std::size_t>(static_cast<unsigned char>(bytes.at(8)) +
                                               256 * static_cast<unsigned char>(bytes.at(9)));
  REQUIRE(bytes.find("'<f4', 'fortran_order': False") < header);
  const std::size_t data = 10 + header;
  Matrix matrix(static_cast<int64_t>((bytes.size() - data) / sizeof(float)) / columns, columns);
  std::memcpy(matrix.data(), bytes.data() + data, bytes.size() - data);
  return matrix;
}

// The largest difference, relative to the root mean square of the expected values.
double relative_error(const Matrix& ours, const Matrix& expected) {
  REQUIRE(ours.rows() == expected.rows());
  REQUIRE(ours.columns() == expected.columns());
  double largest = 0;
  double squares = 0;
  for (std::size_t i = 0; i < expected.values().size(); ++i) {
    largest = std::max(largest, std::abs(double(ours.values()[i]) - expected.values()[i]));
    squares += double(expected.values()[i]) * expected.values()[i];
  }
  return largest / std::sqrt(squares / static_cast<double>(expected.values().size()));
}

const std::vector<std::string> signals = {"frame400",   "edge559",   "edge560",   "voice2100",
                                          "silence800", "quiet1600", "offset1000"};

}  // namespace

TEST_CASE("filter banks equal torchaudio.compliance.kaldi.fbank") {
  for (const std::string& name : signals) {
    CAPTURE(name);
    FbankOptions options;
    options.mel_bins = 80;
    const Matrix ours = fbank(load_waveform({fixtures / (name + ".wav")}), options);
    CHECK(relative_error(ours, read_golden(name + ".fbank.npy", 80)) < 1e-4);
  }
}

TEST_CASE("MFCC with differences equal fairseq's dump_mfcc_feature over torchaudio") {
  for (const std::string& name : signals) {
    CAPTURE(name);
    const Matrix ours = mfcc(load_waveform({fixtures / (name + ".wav")}), {});
    CHECK(relative_error(ours, read_golden(name + ".mfcc.npy", 39)) < 1e-4);
  }
}

TEST_CASE("MFCC without differences are the first 13 columns of those with them") {
  const std::vector<float> samples = load_waveform({fixtures / "voice2100.wav"});
  MfccOptions plain;
  plain.deltas = false;
  const Matrix short_rows = mfcc(samples, plain);
  const Matrix long_rows = mfcc(samples, {});
  REQUIRE(short_rows.columns() == 13);
  for (int64_t t = 0; t < long_rows.rows(); ++t)
    for (int64_t c = 0; c < 13; ++c) CHECK(short_rows(t, c) == long_rows(t, c));
}

TEST_CASE("frames are windows that fit whole") {
  CHECK(fbank_frames(0) == 0);
  CHECK(fbank_frames(399) == 0);
  CHECK(fbank_frames(400) == 1);
  CHECK(fbank_frames(559) == 1);
  CHECK(fbank_frames(560) == 2);
  CHECK(fbank_frames(16000) == 98);
  CHECK(fbank(std::vector<float>(399), {}).rows() == 0);
  CHECK(mfcc(std::vector<float>(399), {}).rows() == 0);
}

TEST_CASE("a frame does not depend on the samples outside its window") {
  std::vector<float> samples = load_waveform({fixtures / "voice2100.wav"});
  const Matrix whole = fbank(samples, {});
  const Matrix later = fbank(std::span(samples).subspan(3 * feature_hop), {});
  REQUIRE(later.rows() == whole.rows() - 3);
  for (int64_t t = 0; t < later.rows(); ++t)
    for (int64_t c = 0; c < later.columns(); ++c) CHECK(later(t, c) == whole(t + 3, c));
}

TEST_CASE("impossible filter banks are refused") {
  const std::vector<float> samples(400);
  FbankOptions wrong;
  wrong.high_frequency = 8001;
  CHECK_THROWS_AS(fbank(samples, wrong), Error);
  wrong = {};
  wrong.mel_bins = 0;
  CHECK_THROWS_AS(fbank(samples, wrong), Error);
  MfccOptions too_many;
  too_many.coefficients = 24;
  CHECK_THROWS_AS(mfcc(samples, too_many), Error);
}
