// The shape of a model as recipes write it: the fields of ModelConfig that a person chooses, flat and
// complete. What follows from a teacher or from labels (classes, width of prediction heads) is not part of
// it.
#pragma once

#include <string>

#include "base/json.h"
#include "model/config.h"

namespace retort {

// Every key must be there; keys that are not known are not looked at (compare with shape_json() to find
// them). An Error starting with `where` if no network can have these numbers.
ModelConfig parse_shape(const Json& json, const std::string& where);

// What parse_shape() understood.
Json shape_json(const ModelConfig& config);

}  // namespace retort
