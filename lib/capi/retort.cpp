// The C API: what a caller may get wrong is checked here, the work is session.h's.
#include "retort/retort.h"

#include <algorithm>
#include <type_traits>

#include "audio/resample.h"
#include "capi/session.h"
#include "model/streaming.h"

using retort::algorithmic_latency;
using retort::fail;
using retort::Layer;
using retort::layer_dim;
using retort::layer_frames;
using retort::layer_hop;
using retort::Matrix;
using retort::model_rate;
using retort::ModelConfig;
using retort::NativeModel;
using retort::parse_layer;
using retort::require_finite;
using retort::require_streaming;
using retort::resample;
using retort::resampled_length;
using retort::Session;
using retort::SessionCodebook;

struct retort_model {
  std::shared_ptr<Session> session;
};

struct retort_codebook {
  std::shared_ptr<SessionCodebook> codebook;
};

struct retort_stream {
  std::shared_ptr<Session> session;
  std::shared_ptr<SessionCodebook> codebook;  // null: frames alone
  Layer layer;
  NativeModel::Stream stream;
};

namespace {

thread_local std::string last_error;

// Keeps what was thrown for retort_error(); nothing leaves the library.
void remember_failure() noexcept {
  try {
    try {
      throw;
    } catch (const std::bad_alloc&) {
      last_error = "out of memory";
    } catch (const std::exception& error) {
      last_error = error.what();
      std::replace(last_error.begin(), last_error.end(), '\n', ' ');
    } catch (...) {
      last_error = "something that is no error was thrown";
    }
  } catch (...) {
    last_error.clear();  // there is no memory even for the message
  }
}

// What `body` returns; `failure` where it throws.
template <class Result, class Body>
Result guarded(Result failure, const Body& body) noexcept {
  try {
    return body();
  } catch (...) {
    remember_failure();
    return failure;
  }
}

template <class T>
T& checked(T* pointer, const char* what) {
  if (!pointer) fail("{} is a null pointer", what);
  return *pointer;
}

// What an array holds for waveform `index`.
template <class T>
std::remove_const_t<T> of_each(T* array, int64_t index, const char* what) {
  checked(array, what);
  return array[index];
}

Layer layer_of(const Session& session, const char* layer) {
  return parse_layer(layer ? layer : "final", session.config());
}

std::span<const float> samples_of(const float* waveform, int64_t samples) {
  if (samples < 0) fail("{} samples: should be 0 or more", samples);
  if (samples > 0) checked(waveform, "the waveform");
  return {waveform, static_cast<std::size_t>(samples)};
}

std::vector<std::span<const float>> waveforms_of(int64_t count, const float* const* waveforms,
                                                 const int64_t* samples) {
  if (count < 0) fail("{} waveforms: should be 0 or more", count);
  std::vector<std::span<const float>> all;
  for (int64_t i = 0; i < count; ++i)
    all.push_back(samples_of(of_each(waveforms, i, "waveforms"), of_each(samples, i, "samples")));
  return all;
}

void require_room(int64_t frames, int64_t room) {
  if (room < frames) fail("there is room for {} frames, {} are needed", room, frames);
}

void check_resampling(int64_t samples, int32_t rate) {
  if (samples < 0) fail("{} samples: should be 0 or more", samples);
  if (rate < 1) fail("{} samples per second: should be more than 0", rate);
}

void copy_out(const Matrix& frames, float* to) {
  std::copy(frames.values().begin(), frames.values().end(), &checked(to, "the room for frames"));
}

// One waveform's frames, after checking that they have room.
Matrix features_of(Session& session, const Layer& layer, std::span<const float> waveform, int64_t room) {
  require_room(layer_frames(layer, session.config(), static_cast<int64_t>(waveform.size())), room);
  return std::move(session.features(layer, {waveform}).front());
}

retort_stream* new_stream(std::shared_ptr<Session> session, std::shared_ptr<SessionCodebook> codebook,
                          const Layer& layer) {
  NativeModel::Stream stream = session->open_stream(layer);
  return new retort_stream{std::move(session), std::move(codebook), layer, std::move(stream)};
}

}  // namespace

const char* retort_version() {
  return RETORT_VERSION;
}

const char* retort_error() {
  return last_error.c_str();
}

retort_model* retort_open(const char* path, int32_t threads, const char* precision) {
  return guarded<retort_model*>(nullptr, [&] {
    return new retort_model{
        std::make_shared<Session>(&checked(path, "the path"), threads, precision ? precision : "f32")};
  });
}

void retort_close(retort_model* model) {
  delete model;
}

const char* retort_hash(const retort_model* model) {
  return guarded<const char*>(nullptr, [&] { return checked(model, "the model").session->hash().c_str(); });
}

int32_t retort_rate(const retort_model* model) {
  return guarded(-1, [&] {
    checked(model, "the model");
    return model_rate;
  });
}

const char* retort_layer(const retort_model* model, int32_t index) {
  return guarded<const char*>(nullptr, [&]() -> const char* {
    const std::vector<std::string>& names = checked(model, "the model").session->layer_names();
    const bool exists = index >= 0 && static_cast<std::size_t>(index) < names.size();
    return exists ? names[static_cast<std::size_t>(index)].c_str() : nullptr;
  });
}

int32_t retort_dim(const retort_model* model, const char* layer) {
  return guarded(-1, [&] {
    const Session& session = *checked(model, "the model").session;
    return layer_dim(layer_of(session, layer), session.config());
  });
}

int32_t retort_hop(const retort_model* model, const char* layer) {
  return guarded(-1, [&] {
    const Session& session = *checked(model, "the model").session;
    return layer_hop(layer_of(session, layer), session.config());
  });
}

int64_t retort_frames(const retort_model* model, const char* layer, int64_t samples) {
  return guarded(int64_t{-1}, [&] {
    const Session& session = *checked(model, "the model").session;
    if (samples < 0) fail("{} samples: should be 0 or more", samples);
    return layer_frames(layer_of(session, layer), session.config(), samples);
  });
}

int64_t retort_features(retort_model* model, const char* layer, const float* waveform, int64_t samples,
                        float* frames, int64_t room) {
  return guarded(int64_t{-1}, [&] {
    Session& session = *checked(model, "the model").session;
    const Matrix features =
        features_of(session, layer_of(session, layer), samples_of(waveform, samples), room);
    copy_out(features, frames);
    return features.rows();
  });
}

int32_t retort_features_batch(retort_model* model, const char* layer, int64_t count,
                              const float* const* waveforms, const int64_t* samples, float* const* frames) {
  return guarded(-1, [&] {
    Session& session = *checked(model, "the model").session;
    const std::vector<Matrix> features =
        session.features(layer_of(session, layer), waveforms_of(count, waveforms, samples));
    for (std::size_t i = 0; i < features.size(); ++i)
      copy_out(features[i], of_each(frames, static_cast<int64_t>(i), "frames"));
    return 0;
  });
}

retort_codebook* retort_codebook_open(retort_model* model, const char* path) {
  return guarded<retort_codebook*>(nullptr, [&] {
    return new retort_codebook{
        std::make_shared<SessionCodebook>(checked(model, "the model").session, &checked(path, "the path"))};
  });
}

void retort_codebook_close(retort_codebook* codebook) {
  delete codebook;
}

int32_t retort_codebook_units(const retort_codebook* codebook) {
  return guarded(
      -1, [&] { return static_cast<int32_t>(checked(codebook, "the codebook").codebook->clusters()); });
}

const char* retort_codebook_layer(const retort_codebook* codebook) {
  return guarded<const char*>(
      nullptr, [&] { return checked(codebook, "the codebook").codebook->layer_name().c_str(); });
}

int64_t retort_units(retort_codebook* codebook, const float* waveform, int64_t samples, int32_t* units,
                     int64_t room) {
  return guarded(int64_t{-1}, [&] {
    const SessionCodebook& book = *checked(codebook, "the codebook").codebook;
    const Matrix features = features_of(*book.session(), book.layer(), samples_of(waveform, samples), room);
    book.assign(features, &checked(units, "the room for units"));
    return features.rows();
  });
}

int32_t retort_units_batch(retort_codebook* codebook, int64_t count, const float* const* waveforms,
                           const int64_t* samples, int32_t* const* units) {
  return guarded(-1, [&] {
    const SessionCodebook& book = *checked(codebook, "the codebook").codebook;
    const std::vector<Matrix> features =
        book.session()->features(book.layer(), waveforms_of(count, waveforms, samples));
    for (std::size_t i = 0; i < features.size(); ++i)
      book.assign(features[i],
                  &checked(of_each(units, static_cast<int64_t>(i), "units"), "the room for units"));
    return 0;
  });
}

int64_t retort_latency(const retort_model* model) {
  return guarded(int64_t{-1}, [&] {
    const ModelConfig& config = checked(model, "the model").session->config();
    require_streaming(config);
    return algorithmic_latency(config);
  });
}

retort_stream* retort_stream_open(retort_model* model, const char* layer) {
  return guarded<retort_stream*>(nullptr, [&] {
    const std::shared_ptr<Session>& session = checked(model, "the model").session;
    return new_stream(session, nullptr, layer_of(*session, layer));
  });
}

retort_stream* retort_stream_open_units(retort_codebook* codebook) {
  return guarded<retort_stream*>(nullptr, [&] {
    const std::shared_ptr<SessionCodebook>& book = checked(codebook, "the codebook").codebook;
    return new_stream(book->session(), book, book->layer());
  });
}

int64_t retort_stream_frames(const retort_stream* stream, int64_t samples) {
  return guarded(int64_t{-1}, [&] {
    if (samples < 0) fail("{} samples: should be 0 or more", samples);
    return checked(stream, "the stream").stream.frames(samples);
  });
}

int64_t retort_push(retort_stream* stream, const float* samples, int64_t count, float* frames, int32_t* units,
                    int64_t room) {
  return guarded(int64_t{-1}, [&] {
    retort_stream& to = checked(stream, "the stream");
    if (units && !to.codebook) fail("units are of streams that retort_stream_open_units() made");
    const std::span<const float> piece = samples_of(samples, count);
    if (frames || units) require_room(to.stream.frames(count), room);
    const Matrix completed = to.session->push(to.stream, piece);
    if (frames) copy_out(completed, frames);
    if (units) to.codebook->assign(completed, units);
    return completed.rows();
  });
}

int32_t retort_stream_reset(retort_stream* stream) {
  return guarded(-1, [&] {
    retort_stream& to = checked(stream, "the stream");
    to.stream = to.session->open_stream(to.layer);
    return 0;
  });
}

void retort_stream_close(retort_stream* stream) {
  delete stream;
}

int64_t retort_resampled(int64_t samples, int32_t rate) {
  return guarded(int64_t{-1}, [&] {
    check_resampling(samples, rate);
    return resampled_length(samples, rate, model_rate);
  });
}

int64_t retort_resample(const float* waveform, int64_t samples, int32_t rate, float* out, int64_t room) {
  return guarded(int64_t{-1}, [&] {
    check_resampling(samples, rate);
    const std::span<const float> from = samples_of(waveform, samples);
    require_finite(from, "the waveform");
    const int64_t needed = resampled_length(samples, rate, model_rate);
    if (room < needed) fail("there is room for {} samples, {} are needed", room, needed);
    const std::vector<float> resampled = resample({from.begin(), from.end()}, rate, model_rate);
    if (!resampled.empty())
      std::copy(resampled.begin(), resampled.end(), &checked(out, "the room for samples"));
    return static_cast<int64_t>(resampled.size());
  });
}
