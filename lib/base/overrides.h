// Single values of a JSON document, set from a command line.
#pragma once

#include <string>

#include "base/json.h"

namespace retort {

// Applies "a.b=value" to a document whose keys say what there is: the value must be there and be of the same
// type. `kind` ("recipe") names the document in usage Errors.
void apply_override(Json& document, const std::string& assignment, const std::string& kind);

}  // namespace retort
