// What is counted while training, for a line of log.jsonl or a validation.
#pragma once

#include <ATen/ATen.h>

#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "processes/processes.h"

namespace retort {

// A number as reports show it: six digits; null where it is not finite, for which JSON has no word.
Json report_number(double value);

// Means over frames, and how evenly classes are used. Sums stay on their device until they are asked for. A
// name may have one dot: "masked.loss" is the key loss of the object masked.
class Metrics {
 public:
  // Adds `sum`, a scalar, over `count` more frames to the mean called `name`.
  void add(const std::string& name, const at::Tensor& sum, double count);
  void add(const std::string& name, double sum, double count);
  // Adds frames to the total called `name`, which is reported as a whole number.
  void count(const std::string& name, int64_t frames);
  // Adds class indices to the count of `classes` classes whose perplexity is called `name`.
  void add_classes(const std::string& name, const at::Tensor& indices, int64_t classes);

  // What these and the other processes' metrics are together. Called by all of them.
  Metrics of_all(const Processes& processes) const;

  double mean(const std::string& name) const;

  // In the order in which names were first added.
  Json report() const;

 private:
  struct Mean {
    at::Tensor sum;  // undefined: host alone
    double host_sum = 0;
    double count = 0;

    double sum_on_host() const;
    double value() const;
  };
  void remember(const std::string& name);
  void add_class_counts(const std::string& name, const at::Tensor& more);
  Json sums() const;
  void add(const Json& sums);

  std::vector<std::string> order_;
  std::map<std::string, Mean> means_;
  std::map<std::string, int64_t> totals_;
  std::map<std::string, at::Tensor> class_counts_;
};

}  // namespace retort
