// What a report says in numbers.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "report/sources.h"

namespace retort {

struct Table {
  std::string title;
  std::vector<std::string> head;
  std::vector<std::vector<std::string>> rows;  // each as wide as the head
  std::size_t texts = 1;                       // leading columns that hold names; the others hold numbers
};

// Recipe, student and progress, a row per run.
Table table_of_runs(const std::vector<Run>& runs);

// The newest value of every quantity, a column per run or reference.
Table table_of_last_values(const std::vector<Run>& runs);

// The scores of each task, a row per score, or a column where there are many metrics.
std::vector<Table> tables_of_scores(const std::vector<Score>& scores);

// In aligned columns, with its title above.
std::string as_text(const Table& table);

// All of it as one object: "runs", "references" and "scores".
Json as_json(const Sources& sources);

}  // namespace retort
