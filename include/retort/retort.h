/* libretort: features and units of speech from HuBERT-like models and the students that retort-distill makes
 * of them, on the CPU, without LibTorch.
 *
 * Waveforms are mono, float, 16 kHz, in [-1, 1]; retort_resample() makes such ones of others. A frame is a
 * row of floats, one row after the other. What fails returns NULL or -1, and retort_error() then says in one
 * line what and why. Models and codebooks may be used from several threads, where calls that need the same
 * model wait for each other; a stream is for one thread at a time. Which layers there are, and what features
 * and units mean: docs/libretort.md. */
#ifndef RETORT_RETORT_H
#define RETORT_RETORT_H

#include <stdint.h>

#if defined(__GNUC__)
#define RETORT_API __attribute__((visibility("default")))
#else
#define RETORT_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct retort_model retort_model;       /* the weights of a model, ready to compute with */
typedef struct retort_codebook retort_codebook; /* the centroids of one of its layers */
typedef struct retort_stream retort_stream;     /* one utterance that is still coming in */

/* The version of the library, for example "0.1.0". */
RETORT_API const char* retort_version(void);

/* Why the last call of this thread that failed did; "" where none has. Valid until another one of it fails.
 */
RETORT_API const char* retort_error(void);

/* Opens a model folder, or a checkpoint of another toolkit that retort-import reads without --config.
 * threads: 0 means all that the process may use. precision: "f32", "bf16" (where the CPU has instructions for
 * it) or "int8"; NULL means "f32". */
RETORT_API retort_model* retort_open(const char* path, int32_t threads, const char* precision);

/* Codebooks and streams of the model stay usable. NULL is nothing to close. */
RETORT_API void retort_close(retort_model* model);

/* What identifies the weights, in hexadecimal; belongs to the model. */
RETORT_API const char* retort_hash(const retort_model* model);

/* Samples per second that waveforms must have. */
RETORT_API int32_t retort_rate(const retort_model* model);

/* The name of layer `index`, from 0 in the order of computation ("conv", "proj", "enc0", ..., "final",
 * "head4",
 * ...); belongs to the model. NULL, without an error, where there are no more. */
RETORT_API const char* retort_layer(const retort_model* model, int32_t index);

/* Of a layer (NULL: "final"): values per frame, samples from frame to frame, frames of so many samples (0 for
 * fewer than a frame sees). */
RETORT_API int32_t retort_dim(const retort_model* model, const char* layer);
RETORT_API int32_t retort_hop(const retort_model* model, const char* layer);
RETORT_API int64_t retort_frames(const retort_model* model, const char* layer, int64_t samples);

/* Features of one waveform. `frames` has room for `room` frames of retort_dim() values: at least
 * retort_frames(model, layer, samples). Returns how many there are. Too few samples for a frame are an error.
 */
RETORT_API int64_t retort_features(retort_model* model, const char* layer, const float* waveform,
                                   int64_t samples, float* frames, int64_t room);

/* The same of `count` waveforms, which share the threads; each gives to the bit what it gives alone.
 * frames[i] has room for retort_frames(model, layer, samples[i]). Returns 0. */
RETORT_API int32_t retort_features_batch(retort_model* model, const char* layer, int64_t count,
                                         const float* const* waveforms, const int64_t* samples,
                                         float* const* frames);

/* Opens a codebook folder (retort-cluster). It must have been made from features of this model; the layer is
 * the codebook's. */
RETORT_API retort_codebook* retort_codebook_open(retort_model* model, const char* path);

/* Its streams stay usable. NULL is nothing to close. */
RETORT_API void retort_codebook_close(retort_codebook* codebook);

/* How many units there are, and the layer that they are of (belongs to the codebook). */
RETORT_API int32_t retort_codebook_units(const retort_codebook* codebook);
RETORT_API const char* retort_codebook_layer(const retort_codebook* codebook);

/* Units of one waveform, and of several: the numbers, from 0, of its frames' nearest centroids. Room, results
 * and errors as of features. */
RETORT_API int64_t retort_units(retort_codebook* codebook, const float* waveform, int64_t samples,
                                int32_t* units, int64_t room);
RETORT_API int32_t retort_units_batch(retort_codebook* codebook, int64_t count, const float* const* waveforms,
                                      const int64_t* samples, int32_t* const* units);

/* How many samples after its beginning a frame can be given. -1, with what of the model makes a frame wait
 * for later ones as the error, for a model that cannot stream. */
RETORT_API int64_t retort_latency(const retort_model* model);

/* An utterance whose samples come in pieces, by a model that can stream: frames of a layer, or frames and
 * units of a codebook's layer. */
RETORT_API retort_stream* retort_stream_open(retort_model* model, const char* layer);
RETORT_API retort_stream* retort_stream_open_units(retort_codebook* codebook);

/* How many frames so many more samples will complete: none, or many. */
RETORT_API int64_t retort_stream_frames(const retort_stream* stream, int64_t samples);

/* Takes the next samples, however few. `frames` and `units`, of which either may be NULL, have room for
 * `room` of the frames that are completed by them. Returns how many those are; to the bit what the whole
 * waveform gives. What is refused (no room, samples that are not finite) leaves the stream as it was. */
RETORT_API int64_t retort_push(retort_stream* stream, const float* samples, int64_t count, float* frames,
                               int32_t* units, int64_t room);

/* Begins another utterance. Returns 0. */
RETORT_API int32_t retort_stream_reset(retort_stream* stream);

/* NULL is nothing to close. */
RETORT_API void retort_stream_close(retort_stream* stream);

/* Samples that retort_resample() gives for so many at `rate`. */
RETORT_API int64_t retort_resampled(int64_t samples, int32_t rate);

/* Makes a waveform at 16 kHz of one at `rate` as the tools do. `out` has room for `room` samples. Returns how
 * many there are. */
RETORT_API int64_t retort_resample(const float* waveform, int64_t samples, int32_t rate, float* out,
                                   int64_t room);

#ifdef __cplusplus
}
#endif

#endif
