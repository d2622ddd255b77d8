// Runs and evaluations at a glance: a page with curves and tables, or the tables alone.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace retort {

struct ReportOptions {
  std::vector<std::string> inputs;      // runs, results, or folders that hold them
  std::vector<std::string> references;  // logs to draw runs against
  std::string output;  // the page, "-": standard output; "": no page, tables on standard output
  bool json = false;   // the tables as one JSON object
  bool overwrite = false;
};

// `print` gets what goes to standard output.
void run_report(const ReportOptions& options, const std::function<void(std::string_view)>& print);

}  // namespace retort
