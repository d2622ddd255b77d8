// WAV and AIFF files that were cut short. libsndfile repairs the length of such a file and says nothing.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

namespace retort {

// How many bytes of sound the header of a WAV or AIFF file states beyond the file's end; 0 where nothing is
// missing, the file is of another kind, or a stream's writer left the size open.
int64_t missing_sound_bytes(const std::filesystem::path& path);
// Of a file's bytes.
int64_t missing_sound_bytes_in(std::string_view bytes);

}  // namespace retort
