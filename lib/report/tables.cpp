#include "report/tables.h"

#include <algorithm>

#include "report/panels.h"
#include "report/text.h"

namespace retort {
namespace {

constexpr const char* none = "-";

std::string shown(const Json& value) {
  if (value.is_null()) return none;
  return printable(value.is_string() ? value.get<std::string>() : value.dump());
}

// The value at a path of keys, or null.
Json at(const Json& object, std::initializer_list<const char*> keys) {
  const Json* value = &object;
  for (const char* key : keys) {
    if (!value->is_object() || !value->contains(key)) return nullptr;
    value = &value->at(key);
  }
  return *value;
}

// "12 x 384", or what is known of it.
std::string student_shape(const Json& config) {
  const Json layers = at(config, {"recipe", "student", "layers"});
  const Json hidden = at(config, {"recipe", "student", "hidden"});
  if (layers.is_null() && hidden.is_null()) return none;
  return shown(layers) + " x " + shown(hidden);
}

void add_distinct(std::vector<std::string>& names, const std::string& name) {
  if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
}

std::string value_of(const Score& score, const std::string& metric) {
  for (const auto& [name, value] : score.metrics)
    if (name == metric) return format_value(value);
  return none;
}

Table transposed(const Table& table) {
  Table turned{table.title, {table.head.front()}, {}, 1};
  for (const auto& row : table.rows) turned.head.push_back(row.front());
  for (std::size_t column = 1; column < table.head.size(); ++column) {
    turned.rows.push_back({table.head[column]});
    for (const auto& row : table.rows) turned.rows.back().push_back(row[column]);
  }
  return turned;
}

Table table_of_task(const std::string& task, const std::vector<Score>& scores) {
  constexpr std::size_t widest = 12;  // columns that a page takes
  Table table{task, {"result", "model", "layer"}, {}, 3};
  std::vector<std::string> metrics;
  for (const Score& score : scores)
    if (score.task == task)
      for (const auto& metric : score.metrics) add_distinct(metrics, metric.first);
  table.head.insert(table.head.end(), metrics.begin(), metrics.end());
  table.head.emplace_back("n");
  for (const Score& score : scores) {
    if (score.task != task) continue;
    std::vector<std::string> row = {score.name, score.model, score.layer.empty() ? none : score.layer};
    for (const std::string& metric : metrics) row.push_back(value_of(score, metric));
    row.push_back(score.n > 0 ? std::to_string(score.n) : none);
    table.rows.push_back(std::move(row));
  }
  return table.head.size() > widest ? transposed(table) : table;
}

std::size_t columns_shown(std::string_view utf8) {
  return static_cast<std::size_t>(
      std::count_if(utf8.begin(), utf8.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string aligned(const std::vector<std::string>& row, const std::vector<std::size_t>& widths,
                    std::size_t texts) {
  std::string line;
  for (std::size_t i = 0; i < row.size(); ++i) {
    const std::string padding(widths[i] - columns_shown(row[i]), ' ');
    if (i > 0) line += "  ";
    line += i < texts ? row[i] + padding : padding + row[i];
  }
  line.resize(line.find_last_not_of(' ') + 1);
  return line + "\n";
}

Json last_values(const TrainingLog& log) {
  Json last = Json::object();
  for (const Curve& curve : log.curves) last[curve.key] = curve.points.back().value;
  return last;
}

Json run_as_json(const Run& run) {
  Json json = {{"name", run.name}, {"step", run.log.last_step}};
  if (!run.is_reference()) {
    json["recipe"] = at(run.config, {"recipe", "name"});
    json["student"] = at(run.config, {"recipe", "student"});
    json["steps"] = at(run.config, {"recipe", "schedule", "steps"});
    json["finished"] = run.finished;
  }
  json["last"] = last_values(run.log);
  return json;
}

Json score_as_json(const Score& score) {
  Json metrics = Json::object();
  for (const auto& [name, value] : score.metrics) metrics[name] = value;
  return {{"name", score.name},   {"task", score.task}, {"model", score.model},
          {"layer", score.layer}, {"n", score.n},       {"metrics", metrics}};
}

}  // namespace

Table table_of_runs(const std::vector<Run>& runs) {
  Table table{"Runs", {"run", "recipe", "student", "state", "step", "of"}, {}, 4};
  for (const Run& run : runs)
    if (!run.is_reference())
      table.rows.push_back({run.name, shown(at(run.config, {"recipe", "name"})), student_shape(run.config),
                            run.finished ? "finished" : "not finished", std::to_string(run.log.last_step),
                            shown(at(run.config, {"recipe", "schedule", "steps"}))});
  return table;
}

Table table_of_last_values(const std::vector<Run>& runs) {
  Table table{"Last values", {"quantity"}, {}, 1};
  for (const Run& run : runs) table.head.push_back(run.title());
  for (const PanelGroup& group : arrange_panels(runs))
    for (const Panel& panel : group.panels) {
      std::vector<std::string> row(runs.size() + 1, none);
      row[0] = panel.key;
      for (const PanelCurve& drawn : panel.curves)
        row[drawn.run + 1] = format_value(drawn.curve->points.back().value);
      table.rows.push_back(std::move(row));
    }
  return table;
}

std::vector<Table> tables_of_scores(const std::vector<Score>& scores) {
  std::vector<std::string> tasks;
  for (const Score& score : scores) add_distinct(tasks, score.task);
  std::vector<Table> tables;
  for (const std::string& task : tasks) tables.push_back(table_of_task(task, scores));
  return tables;
}

std::string as_text(const Table& table) {
  std::vector<std::size_t> widths;
  for (const std::string& cell : table.head) widths.push_back(columns_shown(cell));
  for (const auto& row : table.rows)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], columns_shown(row[i]));
  std::string text = table.title + "\n" + aligned(table.head, widths, table.texts);
  for (const auto& row : table.rows) text += aligned(row, widths, table.texts);
  return text;
}

Json as_json(const Sources& sources) {
  Json json = {{"runs", Json::array()}, {"references", Json::array()}, {"scores", Json::array()}};
  for (const Run& run : sources.runs)
    json[run.is_reference() ? "references" : "runs"].push_back(run_as_json(run));
  for (const Score& score : sources.scores) json["scores"].push_back(score_as_json(score));
  return json;
}

}  // namespace retort
