// The report as one HTML page that needs nothing else: no network, no script, no font.
#pragma once

#include <string>

#include "report/sources.h"

namespace retort {

std::string report_page(const Sources& sources);

}  // namespace retort
