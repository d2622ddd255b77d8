// Which curves are drawn together: a panel per quantity with the curves of all runs, in groups of a kind.
#pragma once

#include <string>
#include <vector>

#include "report/sources.h"

namespace retort {

struct PanelCurve {
  std::size_t run = 0;  // index into the runs
  const Curve* curve = nullptr;
  const Curve* low = nullptr;  // of a reference of several logs, with the same steps
  const Curve* high = nullptr;
};

struct Panel {
  std::string key;
  std::vector<PanelCurve> curves;  // of the runs that have it
};

struct PanelGroup {
  std::string title;
  bool folded = false;  // of little interest unless looked for
  std::vector<Panel> panels;
};

// Groups go by the words of a key, so that terms, layers and validation sets of any recipe find their place;
// keys that no word tells apart make up a group of their own. The panels point into `runs`.
std::vector<PanelGroup> arrange_panels(const std::vector<Run>& runs);

}  // namespace retort
