#include "report/lineage.h"

#include <algorithm>

#include "report/text.h"

namespace retort {
namespace {

constexpr const char* none = "-";

std::string text_of(const Json& object, const char* key) {
  if (!object.is_object() || !object.contains(key) || !object.at(key).is_string()) return "";
  return printable(object.at(key).get<std::string>());
}

Json part(const Json& object, const char* key) {
  return object.is_object() && object.contains(key) ? object.at(key) : Json();
}

std::string brief(const std::string& hash) {
  constexpr std::size_t digits = 8;
  return hash.empty() ? none : hash.substr(0, digits);
}

const Run* made_by(const std::vector<Run>& runs, const std::string& model) {
  const auto run = std::find_if(runs.begin(), runs.end(),
                                [&](const Run& one) { return !model.empty() && one.student == model; });
  return run == runs.end() ? nullptr : &*run;
}

// The model that a run learned from: its teacher, else what made its labels.
std::string parent_of(const Run& run) {
  const std::string teacher = text_of(run.config, "teacher");
  return teacher.empty() ? text_of(part(part(run.config, "labels"), "origin"), "model") : teacher;
}

// "mfcc-39 > teacher-1 > student".
std::string descent(const std::vector<Run>& runs, const Run& run) {
  std::string line = run.name;
  const Run* child = &run;
  for (std::size_t generations = 0; generations < runs.size(); ++generations) {
    const std::string parent = parent_of(*child);
    if (parent.empty()) break;
    child = made_by(runs, parent);
    const bool is_hash = parent.find_first_not_of("0123456789abcdef") == std::string::npos;
    line = (child != nullptr ? child->name : is_hash ? brief(parent) : parent) + " > " + line;
    if (child == nullptr) break;
  }
  return line;
}

// "K 100 of enc3, 36a75a70".
std::string labels_of(const Run& run) {
  const Json labels = part(run.config, "labels");
  if (!labels.is_object()) return none;
  const Json clusters = part(labels, "clusters");
  return fmt::format("K {} of {}, {}", clusters.is_null() ? none : clusters.dump(),
                     text_of(part(labels, "origin"), "layer"), brief(text_of(labels, "hash")));
}

bool is_known(const Run& run) {
  return !run.is_reference() && (!parent_of(run).empty() || part(run.config, "labels").is_object() ||
                                 !text_of(run.config, "corpus").empty());
}

}  // namespace

Table table_of_lineage(const std::vector<Run>& runs) {
  constexpr std::size_t columns = 5;
  Table table{"Lineage", {"descent", "student", "labels", "corpus", "begun from"}, {}, columns};
  for (const Run& run : runs)
    if (is_known(run))
      table.rows.push_back({descent(runs, run), brief(run.student), labels_of(run),
                            brief(text_of(run.config, "corpus")), brief(text_of(run.config, "init_from"))});
  return table;
}

}  // namespace retort
