/* Features or units of speech, as it comes in where the model can stream and at its end where it cannot:
 *
 *   units MODEL [CODEBOOK] < speech.raw        (16 kHz, mono, 16-bit little endian, without a header)
 *   ffmpeg -v error -i talk.mp3 -f s16le -ac 1 -ar 16000 - | units student codebook
 *   arecord -q -f S16_LE -r 16000 | units student codebook
 *
 * Prints a unit per frame, or without a codebook the root mean square of the frame's features. */
#include <math.h>
#include <retort/retort.h>
#include <stdio.h>
#include <stdlib.h>

enum { piece = 1600 }; /* samples that are taken at once: a tenth of a second */

static void stop(const char* what) {
  fprintf(stderr, "units: %s: %s\n", what, retort_error());
  exit(1);
}

static void* room_for(int64_t count, size_t size) {
  void* memory = malloc(count > 0 ? (size_t)count * size : size);
  if (memory == NULL) {
    fprintf(stderr, "units: out of memory\n");
    exit(1);
  }
  return memory;
}

/* Reads up to `piece` samples; returns how many there were. */
static int64_t read_piece(float* samples) {
  unsigned char bytes[2 * piece];
  const int64_t count = (int64_t)fread(bytes, 2, piece, stdin);
  int64_t i;
  for (i = 0; i < count; ++i) {
    const int value = bytes[2 * i] | bytes[2 * i + 1] << 8;
    samples[i] = (float)(value < 32768 ? value : value - 65536) / 32768.0f;
  }
  return count;
}

static void print_frames(const float* frames, const int32_t* units, int64_t count, int32_t dim) {
  int64_t t;
  int32_t i;
  for (t = 0; t < count; ++t) {
    double squares = 0;
    if (units != NULL) {
      printf("%d\n", (int)units[t]);
      continue;
    }
    for (i = 0; i < dim; ++i) squares += (double)frames[t * dim + i] * (double)frames[t * dim + i];
    printf("%.4f\n", sqrt(squares / dim));
  }
  fflush(stdout);
}

static void follow(retort_model* model, retort_codebook* codebook) {
  retort_stream* stream =
      codebook != NULL ? retort_stream_open_units(codebook) : retort_stream_open(model, NULL);
  const int32_t dim = retort_dim(model, codebook != NULL ? retort_codebook_layer(codebook) : NULL);
  float samples[piece];
  int64_t count;
  if (stream == NULL) stop("opening a stream");
  while ((count = read_piece(samples)) > 0) {
    const int64_t frames = retort_stream_frames(stream, count);
    float* features = room_for(frames * dim, sizeof(float));
    int32_t* units = room_for(frames, sizeof(int32_t));
    if (retort_push(stream, samples, count, features, codebook != NULL ? units : NULL, frames) < 0)
      stop("the stream");
    print_frames(features, codebook != NULL ? units : NULL, frames, dim);
    free(features);
    free(units);
  }
  retort_stream_close(stream);
}

static void all_at_once(retort_model* model, retort_codebook* codebook) {
  const char* layer = codebook != NULL ? retort_codebook_layer(codebook) : NULL;
  const int32_t dim = retort_dim(model, layer);
  float* waveform = room_for(piece, sizeof(float));
  int64_t samples = 0, count, frames;
  float* features;
  int32_t* units;
  while ((count = read_piece(waveform + samples)) > 0) {
    samples += count;
    waveform = realloc(waveform, (size_t)(samples + piece) * sizeof(float));
    if (waveform == NULL) stop("out of memory");
  }
  frames = retort_frames(model, layer, samples);
  features = room_for(frames * dim, sizeof(float));
  units = room_for(frames, sizeof(int32_t));
  if (codebook != NULL ? retort_units(codebook, waveform, samples, units, frames) < 0
                       : retort_features(model, layer, waveform, samples, features, frames) < 0)
    stop("standard input");
  print_frames(features, codebook != NULL ? units : NULL, frames, dim);
  free(features);
  free(units);
  free(waveform);
}

int main(int argc, char** argv) {
  retort_model* model;
  retort_codebook* codebook = NULL;
  int64_t latency;
  if (argc < 2 || argc > 3) {
    fprintf(stderr, "usage: units MODEL [CODEBOOK] < speech.raw\n");
    return 2;
  }
  model = retort_open(argv[1], 1, NULL);
  if (model == NULL) stop("opening the model");
  if (argc == 3) {
    codebook = retort_codebook_open(model, argv[2]);
    if (codebook == NULL) stop("opening the codebook");
  }
  latency = retort_latency(model);
  if (latency < 0) {
    fprintf(stderr, "units: %s; waiting for the end\n", retort_error());
    all_at_once(model, codebook);
  } else {
    fprintf(stderr, "units: a frame comes %.1f ms after its beginning\n",
            1000.0 * (double)latency / retort_rate(model));
    follow(model, codebook);
  }
  retort_codebook_close(codebook);
  retort_close(model);
  return 0;
}
