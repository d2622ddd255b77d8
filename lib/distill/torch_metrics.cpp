#include "distill/torch_metrics.h"

#include <algorithm>
#include <cmath>

namespace retort {
namespace {

// exp of the entropy of how often each class came.
double perplexity(const at::Tensor& counts) {
  const at::Tensor shares = counts.to(at::kDouble) / counts.sum().clamp_min(1).to(at::kDouble);
  return std::exp(-at::xlogy(shares, shares).sum().item<double>());
}

std::vector<int64_t> host_values(const at::Tensor& counts) {
  const at::Tensor host = counts.to(at::kCPU).contiguous();
  const auto* values = host.const_data_ptr<int64_t>();
  return {values, values + host.numel()};
}

}  // namespace

Json report_number(double value) {
  return std::isfinite(value) ? Json(std::stod(fmt::format("{:.6g}", value))) : Json();
}

double Metrics::Mean::sum_on_host() const {
  return host_sum + (sum.defined() ? sum.item<double>() : 0.0);
}

double Metrics::Mean::value() const {
  return sum_on_host() / std::max(count, 1.0);
}

void Metrics::remember(const std::string& name) {
  if (std::find(order_.begin(), order_.end(), name) == order_.end()) order_.push_back(name);
}

void Metrics::add(const std::string& name, const at::Tensor& sum, double count) {
  remember(name);
  Mean& mean = means_[name];
  const at::Tensor more = sum.detach().to(at::kDouble);
  mean.sum = mean.sum.defined() ? mean.sum + more : more;
  mean.count += count;
}

void Metrics::add(const std::string& name, double sum, double count) {
  remember(name);
  Mean& mean = means_[name];
  mean.host_sum += sum;
  mean.count += count;
}

void Metrics::count(const std::string& name, int64_t frames) {
  remember(name);
  totals_[name] += frames;
}

void Metrics::add_classes(const std::string& name, const at::Tensor& indices, int64_t classes) {
  add_class_counts(name, at::bincount(indices, {}, classes));
}

void Metrics::add_class_counts(const std::string& name, const at::Tensor& more) {
  remember(name);
  at::Tensor& counts = class_counts_[name];
  counts = counts.defined() ? counts + more : more;
}

double Metrics::mean(const std::string& name) const {
  const auto found = means_.find(name);
  return found == means_.end() ? 0.0 : found->second.value();
}

// What goes between processes: sum and count of a mean, a total, or counts of classes.
Json Metrics::sums() const {
  Json sums = Json::object();
  for (const std::string& name : order_) {
    if (const auto mean = means_.find(name); mean != means_.end())
      sums[name] = {{"sum", mean->second.sum_on_host()}, {"count", mean->second.count}};
    else if (const auto total = totals_.find(name); total != totals_.end())
      sums[name] = {{"total", total->second}};
    else
      sums[name] = {{"classes", host_values(class_counts_.at(name))}};
  }
  return sums;
}

void Metrics::add(const Json& sums) {
  for (const auto& [name, entry] : sums.items()) {
    if (entry.contains("count"))  // JSON has no word for a sum that is not finite
      add(name, entry["sum"].is_null() ? NAN : entry["sum"].get<double>(), entry["count"].get<double>());
    else if (entry.contains("total"))
      count(name, entry["total"].get<int64_t>());
    else
      add_class_counts(name, at::tensor(entry["classes"].get<std::vector<int64_t>>()));
  }
}

Metrics Metrics::of_all(const Processes& processes) const {
  if (processes.alone()) return *this;
  Metrics all;
  for (const std::string& text : processes.exchange(sums().dump())) all.add(Json::parse(text));
  return all;
}

Json Metrics::report() const {
  Json report = Json::object();
  for (const std::string& name : order_) {
    const std::size_t dot = name.find('.');
    Json& place = dot == std::string::npos ? report[name] : report[name.substr(0, dot)][name.substr(dot + 1)];
    if (const auto mean = means_.find(name); mean != means_.end())
      place = report_number(mean->second.value());
    else if (const auto total = totals_.find(name); total != totals_.end())
      place = total->second;
    else
      place = report_number(perplexity(class_counts_.at(name)));
  }
  return report;
}

}  // namespace retort
