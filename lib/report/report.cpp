#include "report/report.h"

#include "base/files.h"
#include "base/log.h"
#include "report/lineage.h"
#include "report/page.h"
#include "report/superb.h"
#include "report/tables.h"

namespace retort {
namespace {

std::string report_text(const Sources& sources) {
  std::vector<Table> tables = tables_of_scores(sources.scores);
  tables.insert(tables.begin(), {table_of_runs(sources.runs), table_of_lineage(sources.runs),
                                 table_of_last_values(sources.runs), table_of_superb(sources.scores)});
  std::string text;
  for (const Table& table : tables) {
    if (table.rows.empty()) continue;
    if (!text.empty()) text += "\n";
    text += as_text(table);
  }
  return text;
}

// Paths may hold bytes that are no UTF-8, which JSON cannot.
std::string json_text(const Sources& sources) {
  return as_json(sources).dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

void run_report(const ReportOptions& options, const std::function<void(std::string_view)>& print) {
  if (options.json && !options.output.empty())
    fail_usage("--json prints the tables instead of writing a page; leave out one of --json and -o");
  const bool to_file = !options.output.empty() && options.output != "-";
  if (to_file) refuse_existing(options.output, options.overwrite);
  const Sources sources = read_sources(options.inputs, options.references);
  if (!to_file) {
    print(options.json             ? json_text(sources)
          : options.output.empty() ? report_text(sources)
                                   : report_page(sources));
    return;
  }
  AtomicFile file(options.output);
  file.write(report_page(sources));
  file.commit();
  log_info("report", "{} written: {} runs and references, {} scores", options.output, sources.runs.size(),
           sources.scores.size());
}

}  // namespace retort
