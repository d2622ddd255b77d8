// What is known of utterances besides their sound.
#pragma once

#include <filesystem>
#include <string>
#include <unordered_map>

#include "base/json.h"

namespace retort {

// Keys to add to an utterance's line, by utterance id.
using Metadata = std::unordered_map<std::string, Json>;

// Reads lines of {"id": ..., "speaker": ..., ...}. Throws Error for an id that repeats and for keys that
// describe the audio itself (path, start, samples, rate, channel).
Metadata read_metadata(const std::filesystem::path& path);

}  // namespace retort
