#include "report/superb.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

namespace retort {
namespace {

// A task of SUPERB, and which metric of a result is its score.
struct SuperbTask {
  const char* name;
  const char* metric;
  bool percent;  // written as per cent
};
constexpr SuperbTask superb_tasks[] = {
    {"KS", "accuracy", true}, {"IC", "accuracy", true}, {"PR", "per", true},     {"ASR", "wer", true},
    {"ER", "accuracy", true}, {"QbE", "mtwv", false},   {"SF", "slot_f1", true}, {"SID", "accuracy", true},
    {"ASV", "eer", true},     {"SD", "der", true}};
constexpr std::size_t task_count = std::size(superb_tasks);
constexpr std::size_t first_task = 3;  // column

// Model, data, millions of parameters, then the tasks in order; SF: slot F1/CER. Read from the tables that
// DPHuBERT (Peng et al., 2023) and ARMHuBERT/STaRHuBERT (Jang et al., 2023 and 2024) publish with their code.
constexpr std::array<const char*, first_task + task_count> published[] = {
    {"HuBERT Large", "SUPERB", "316", "95.29", "98.76", "3.53", "3.62", "67.62", "0.0353", "89.81/21.76",
     "90.33", "5.98", "5.75"},
    {"HuBERT Base", "SUPERB", "94.7", "96.30", "98.34", "5.41", "6.42", "64.92", "0.0736", "88.53/25.20",
     "81.42", "5.11", "5.88"},
    {"DistilHuBERT", "SUPERB", "23.49", "95.98", "94.99", "16.27", "13.37", "63.02", "0.0511", "82.57/35.59",
     "73.54", "8.55", "6.19"},
    {"FitHuBERT", "SUPERB", "22.49", "96.27", "91.25", "13.32", "12.09", "59.82", "0.0489", "84.06/32.46",
     "55.71", "8.00", "6.84"},
    {"FitW2V2", "SUPERB", "31.63", "96.04", "93.38", "12.22", "11.44", "62.35", "0.0475", "86.65/29.40",
     "64.71", "6.65", "6.44"},
    {"12-L Half", "SUPERB", "26.87", "97.24", "96.97", "10.67", "10.96", "63.24", "0.0604", "86.11/30.93",
     "69.52", "6.13", "6.81"},
    {"3-L One", "SUPERB", "30.58", "96.69", "94.15", "13.34", "12.23", "63.95", "0.0489", "82.89/34.65",
     "75.71", "6.48", "6.56"},
    {"DPHuBERT", "SUPERB", "23.59", "96.36", "97.92", "9.67", "10.47", "63.16", "0.0693", "86.86/28.26",
     "76.83", "5.84", "5.92"},
    {"DPWavLM", "SUPERB", "23.6", "96.27", "98.58", "8.22", "10.19", "65.24", "0.0874", "87.68/26.11",
     "82.11", "5.98", "5.53"},
    {"LightHuBERT small", "SUPERB", "27.0", "96.07", "98.23", "6.60", "8.33", "64.12", "0.0764",
     "87.58/26.90", "69.70", "5.42", "5.85"},
    {"ARMHuBERT", "SUPERB", "26.45", "96.88", "97.07", "7.72", "9.96", "62.86", "0.0635", "87.59/26.06",
     "65.03", "5.68", "7.10"},
    {"ARMHuBERT-S", "SUPERB", "22.39", "96.82", "97.02", "8.63", "10.82", "62.96", "0.0720", "86.34/29.02",
     "63.76", "5.58", "7.01"},
    {"MaskHuBERT", "SUPERB", "26.64", "96.36", "97.05", "7.30", "9.77", "62.37", "0.0664", "87.31/27.10",
     "62.83", "5.38", "6.79"},
    {"STaRHuBERT", "SUPERB", "22.31", "96.27", "97.55", "8.16", "9.35", "63.01", "0.0688", "87.94/25.31",
     "77.58", "5.39", "6.05"},
    {"STaRHuBERT-L", "SUPERB", "26.63", "96.56", "97.50", "7.97", "8.91", "63.48", "0.0677", "88.01/25.36",
     "78.66", "5.45", "5.83"},
};

// "-pr", as it is part of a protocol's name.
std::string word_of(const SuperbTask& task) {
  std::string word = fmt::format("-{}", task.name);
  std::transform(word.begin(), word.end(), word.begin(),
                 [](char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); });
  return word;
}

// Which task a protocol such as "asterisk-pr-1" is of; task_count for none.
std::size_t task_of(const std::string& protocol) {
  for (std::size_t task = 0; task < task_count; ++task) {
    const std::string name = word_of(superb_tasks[task]);
    const std::size_t place = protocol.find(name);
    if (place == std::string::npos || place == 0) continue;
    const std::size_t end = place + name.size();
    if (end == protocol.size() || std::isalpha(static_cast<unsigned char>(protocol[end])) == 0) return task;
  }
  return task_count;
}

// "asterisk" of "asterisk-pr-1", "superb-style" of "superb-style-pr-1".
std::string data_of(const std::string& protocol, std::size_t task) {
  return protocol.substr(0, protocol.find(word_of(superb_tasks[task])));
}

std::string cell_of(const Score& score, const SuperbTask& task) {
  for (const auto& [name, value] : score.metrics)
    if (name == task.metric)
      return task.percent ? fmt::format("{:.2f}", 100 * value) : fmt::format("{:.4f}", value);
  return "";
}

// "0.89", or "-" where no profile tells.
std::string millions(const std::vector<Score>& scores, const std::string& hash) {
  for (const Score& score : scores)
    if (score.task == "profile" && score.hash == hash)
      for (const auto& [name, value] : score.metrics)
        if (name == "parameters.backbone") return fmt::format("{:.2f}", value / 1e6);
  return "-";
}

}  // namespace

const char* const superb_note =
    "KS, IC, ER, SID: accuracy, %; PR: phone errors, %; ASR: word errors without a language model, %; QbE: "
    "MTWV; SF: slot "
    "F1/CER, %; ASV: EER, %; SD: DER, %. M: millions of parameters. Rows of SUPERB are published; rows of "
    "other "
    "data are SUPERB-style and cannot be compared with them, only with each other.";

Table table_of_superb(const std::vector<Score>& scores) {
  Table table{"SUPERB and SUPERB-style tasks", {"model", "data", "M"}, {}, 2};
  for (const SuperbTask& task : superb_tasks) table.head.emplace_back(task.name);
  for (const Score& score : scores) {
    const std::size_t task = task_of(score.protocol);
    if (task == task_count) continue;
    const std::string cell = cell_of(score, superb_tasks[task]);
    if (cell.empty()) continue;
    const std::string data = data_of(score.protocol, task);
    auto row = std::find_if(table.rows.begin(), table.rows.end(), [&](const std::vector<std::string>& one) {
      return one[0] == score.model && one[1] == data;
    });
    if (row == table.rows.end()) {
      row = table.rows.insert(table.rows.end(), std::vector<std::string>(table.head.size(), "-"));
      (*row)[0] = score.model;
      (*row)[1] = data;
      (*row)[2] = millions(scores, score.hash);
    }
    (*row)[first_task + task] = cell;
  }
  if (table.rows.empty()) return table;
  for (const auto& row : published) table.rows.emplace_back(row.begin(), row.end());
  return table;
}

}  // namespace retort
