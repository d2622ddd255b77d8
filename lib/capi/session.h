// What the handles of the C API (include/retort/retort.h) hold.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "encoder/native_model_encoder.h"
#include "nearest/assigner.h"
#include "store/codebook.h"

namespace retort {

// A model in memory. Thread-safe: what computes waits for what does already.
class Session {
 public:
  // As retort_open() takes them.
  Session(const std::string& path, int threads, const std::string& precision);

  const ModelConfig& config() const { return encoder_.config(); }
  const std::string& hash() const { return hash_; }
  int threads() const { return threads_; }
  const std::vector<std::string>& layer_names() const { return layer_names_; }
  // What frames of this layer say of themselves.
  FrameOrigin origin(const Layer& layer);

  // Frames of each waveform. An Error for one that has none, or a sample that is not finite; with its number
  // where there are several.
  std::vector<Matrix> features(const Layer& layer, const std::vector<std::span<const float>>& waveforms);

  NativeModel::Stream open_stream(const Layer& layer);
  Matrix push(NativeModel::Stream& stream, std::span<const float> samples);

 private:
  void check_waveforms(const Layer& layer, const std::vector<std::span<const float>>& waveforms) const;

  int threads_;
  NativeModelEncoder encoder_;
  std::string hash_;
  std::vector<std::string> layer_names_;
  std::mutex computing_;
};

// Centroids of one of a session's layers.
class SessionCodebook {
 public:
  // An Error if it was not made from features of this model.
  SessionCodebook(std::shared_ptr<Session> session, const std::string& path);

  const std::shared_ptr<Session>& session() const { return session_; }
  const Layer& layer() const { return layer_; }
  const std::string& layer_name() const { return layer_name_; }
  int64_t clusters() const { return codebook_.clusters(); }
  // Numbers of the frames' nearest centroids. An Error for frames that are not finite.
  void assign(const Matrix& frames, int32_t* units) const;

 private:
  std::shared_ptr<Session> session_;
  Codebook codebook_;
  Layer layer_;
  std::string layer_name_;
  std::unique_ptr<Assigner> assigner_;
};

// Throws for the first value that is not finite: "sample 3 of WHAT ...".
void require_finite(std::span<const float> samples, const std::string& what);

}  // namespace retort
