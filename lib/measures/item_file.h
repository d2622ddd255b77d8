// Item files of the Zero Resource challenges: what is compared in an ABX test.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/name_table.h"

namespace retort {

struct AbxItem {
  std::string utterance;
  int64_t onset = 0;  // samples at 16 kHz from the beginning of the utterance
  int64_t offset = 0;
  int phone = 0;  // names of the file's tables
  int previous = 0;
  int next = 0;
  int speaker = 0;
};

struct ItemFile {
  std::vector<AbxItem> items;
  NameTable phones;  // of the phone and of its neighbours
  NameTable speakers;

  // Reads a first line that names columns, and a line per item; columns are separated by blanks. Those named
  // #file, onset, offset (seconds), #phone, prev-phone, next-phone and speaker must be there, in any order;
  // others are passed over. Errors name file and line.
  static ItemFile read(const std::filesystem::path& path);
};

// Frames [begin, end) of an item: those whose middles, t * hop + hop / 2, lie from its onset to its offset,
// both included. That is the rule of ABXpy and fastabx (Libri-Light's own code leaves the last one out).
struct ItemFrames {
  int64_t begin = 0;
  int64_t end = 0;
};
ItemFrames frames_of(const AbxItem& item, int64_t hop);

}  // namespace retort
