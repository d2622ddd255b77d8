// Tasks "intrinsic", "abx" and "similarity": what frames tell of a model without any training of it.
#pragma once

#include <string>

#include "evaluate/frame_feed.h"
#include "evaluate/frame_measure.h"
#include "evaluate/result.h"

namespace retort {

struct IntrinsicOptions {
  ResultOptions result;
  FeedOptions feed;            // its layers follow from those below
  std::string layers;          // scored by phones and items; "": final
  std::string teacher_layers;  // the teacher's, scored beside them; "": final
  // Layers that are compared with the teacher's, and the teacher's that they are compared with; "": the
  // outputs of all blocks and heads.
  std::string compare;
  std::string compare_teacher;
  int hop = 320;               // samples between frames, at least; more where a layer has fewer frames
  PhoneMeasureOptions phones;  // without alignments: not measured
  AbxMeasureOptions abx;       // without items: not measured
  SimilarityMeasureOptions similarity;  // without a teacher: not measured
};

// Takes the frames once, and measures all that the options name: units and a probe of phones, agreement with
// the teacher's units, ABX, similarity of layers. Returns the lines for standard output.
std::string run_intrinsic(IntrinsicOptions options);

// One of these alone.
std::string run_abx(IntrinsicOptions options);
std::string run_similarity(IntrinsicOptions options);

}  // namespace retort
