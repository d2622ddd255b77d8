// retort-report: runs and evaluations as a page of curves and tables.
#include <iostream>

#include "common/tool.h"
#include "report/report.h"

int main(int argc, char** argv) {
  retort::ReportOptions options;
  retort::Tool tool(
      "retort-report", "Draw training runs and evaluations as one HTML page, or print their numbers.",
      "retort-report exp/demo/run --reference docs/results/curves/student.jsonl -o report.html");
  tool.option("RUN", options.inputs,
              "Runs of retort-distill, results of retort-evaluate, or folders that hold any of them")
      ->required();
  tool.option("-o,--output", options.output,
              "Page to write, - for standard output; without it tables are printed");
  tool.option("--reference", options.references,
              "A log.jsonl kept as a reference curve, drawn thin; several with commas are drawn as a band; "
              "may be repeated")
      ->expected(1)
      ->take_all();
  tool.flag("--json", options.json, "Print the tables as one JSON object");
  tool.overwrite(options.overwrite);
  return tool.run(argc, argv,
                  [&options] { run_report(options, [](std::string_view text) { std::cout << text; }); });
}
