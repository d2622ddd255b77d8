/* The header is C99, and a program in C gets through a model's features. Argument: a model folder. */
#include <stdio.h>
#include <stdlib.h>

#include "retort/retort.h"

#define SAMPLES 16000

static int fail(const char* what) {
  fprintf(stderr, "%s: %s\n", what, retort_error());
  return 1;
}

int main(int argc, char** argv) {
  static float waveform[SAMPLES];
  retort_model* model;
  float* frames;
  int64_t count, i;
  if (argc != 2) return 2;
  if (retort_open("/nowhere", 1, NULL) != NULL || retort_error()[0] == 0)
    return fail("a folder that is not there");
  model = retort_open(argv[1], 1, "f32");
  if (model == NULL) return fail("retort_open");
  for (i = 0; i < SAMPLES; ++i) waveform[i] = (float)((i * 7919) % 1000) / 1000.0f - 0.5f;
  count = retort_frames(model, NULL, SAMPLES);
  frames = malloc((size_t)(count * retort_dim(model, NULL)) * sizeof(float));
  if (count != 49 || frames == NULL) return fail("retort_frames");
  if (retort_features(model, NULL, waveform, SAMPLES, frames, count) != count) return fail("retort_features");
  free(frames);
  retort_close(model);
  return 0;
}
