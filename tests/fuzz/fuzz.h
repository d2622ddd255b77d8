// What the fuzz targets share. A target is one NAME_fuzz.cpp with libFuzzer's entry point; docs/fuzzing.md
// says how they are run. An Error is how a parser refuses; whatever else is thrown, leaks, hangs or trips a
// sanitizer is a finding.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string_view>

namespace retort {

// Calls `work` with a file that holds these bytes.
void with_file(const uint8_t* data, std::size_t bytes,
               const std::function<void(const std::filesystem::path&)>& work);

// Runs a parser on the input, which it may refuse; aborts where the message of a refusal is not one printable
// line.
void may_refuse(const std::function<void()>& work);

}  // namespace retort
