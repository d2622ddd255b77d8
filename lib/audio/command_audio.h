// Audio that a shell command writes to its standard output, as wav.scp files of Kaldi list it:
// "sph2pipe -f wav call.sph |".
#pragma once

#include <filesystem>
#include <memory>
#include <string>

namespace retort {

// True where a path stands for a command: its last character is |.
bool is_audio_command(const std::filesystem::path& path);

// What the command writes. The last few outputs are kept, so that the segments of a recording, one after the
// other or on several threads, run its command once. Throws AudioError ("command-failed") where the exit code
// is not 0 or there is more output than a WAV file can hold.
std::shared_ptr<const std::string> command_audio(const std::filesystem::path& path);

}  // namespace retort
