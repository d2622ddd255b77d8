// Audio that is no file: what a shell command writes to its standard output, as wav.scp files of Kaldi list
// it
// ("sph2pipe -f wav call.sph |"), and what comes from this process's standard input ("-").
#pragma once

#include <filesystem>
#include <memory>
#include <string>

namespace retort {

// True where a path stands for a command: its last character is |.
bool is_audio_command(const std::filesystem::path& path);

// True for the path "-".
bool is_standard_input(const std::filesystem::path& path);

// The bytes of an audio file that comes from a command or from standard input. Standard input is read to its
// end once and kept; so are the last few outputs of commands, so that the segments of a recording, one after
// the other or on several threads, run its command once. Throws AudioError ("command-failed") where the exit
// code is not 0 or there is more than a WAV file can hold.
std::shared_ptr<const std::string> piped_audio(const std::filesystem::path& path);

}  // namespace retort
