// Kaldi's names for tables ("ark,s:feats.ark", "ark,scp:a.ark,a.scp") and for what they are in ("a.ark:123",
// "gunzip -c a.gz |", "-"). Grammar: src/util/kaldi-table.h, src/util/kaldi-io.h of Kaldi.
#pragma once

#include <cstdint>
#include <string>

namespace retort {

// What a table is read from: "[options,]ark|scp[,options]:RXFILENAME".
struct Rspecifier {
  std::string text;  // as given, which names the table in errors
  bool script = false;
  std::string rxfilename;
  bool once = false;           // o: each key is asked for once
  bool sorted = false;         // s: keys are in the order of their bytes
  bool called_sorted = false;  // cs: keys are asked for in that order
  bool permissive = false;     // p: what cannot be read is as if it were not there
  bool background = false;     // bg: the next value is read while this one is worked on
};

// What a table is written to: "ark|scp[,options]:WXFILENAME" or "ark,scp[,options]:WXFILENAME,WXFILENAME".
struct Wspecifier {
  std::string text;
  bool archive = false;
  bool script = false;  // alone: a list of files to write to; with archive: the list that is written
  std::string archive_wxfilename;
  std::string script_wxfilename;
  bool binary = true;       // t: text
  bool flush = false;       // f: nothing is held back when a value was written to a pipe
  bool permissive = false;  // p: keys that the script does not list are not written
};

// True for what is meant as a table, right or wrong: "ark" or "scp" is among the words before the colon.
bool is_table(const std::string& text);

// Both refuse (a usage error) what Kaldi refuses, with the reason.
Rspecifier parse_rspecifier(const std::string& text);
Wspecifier parse_wspecifier(const std::string& text);

enum class StreamKind { standard, file, command };

// "-" or "": standard input. "COMMAND |". "FILE" or "FILE:OFFSET".
struct Rxfilename {
  StreamKind kind = StreamKind::standard;
  std::string name;    // the file or the command
  int64_t offset = 0;  // in bytes
};
Rxfilename parse_rxfilename(const std::string& text);

// "-" or "": standard output. "| COMMAND". "FILE".
struct Wxfilename {
  StreamKind kind = StreamKind::standard;
  std::string name;
};
Wxfilename parse_wxfilename(const std::string& text);

// Rows and columns of a matrix, both ends included; last -1 is the end. An scp line may end in one:
// "a.ark:12[0:99]", "a.ark:12[0:99,0:12]", "a.ark:12[:,0:12]".
struct KaldiRange {
  int64_t first_row = 0, last_row = -1;
  int64_t first_column = 0, last_column = -1;
};
// `text` is what stands between the brackets.
KaldiRange parse_kaldi_range(const std::string& text);

}  // namespace retort
