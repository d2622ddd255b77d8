#include "store/feature_norm.h"

#include <cmath>

#include "base/error.h"

namespace retort {
namespace {

void divide_by_length(float* row, int64_t dim) {
  double squares = 0;
  for (int64_t j = 0; j < dim; ++j) squares += static_cast<double>(row[j]) * static_cast<double>(row[j]);
  if (squares == 0) return;
  const double length = std::sqrt(squares);
  for (int64_t j = 0; j < dim; ++j) row[j] = static_cast<float>(static_cast<double>(row[j]) / length);
}

}  // namespace

bool is_feature_norm(const std::string& kind) {
  return kind == "none" || kind == "l2" || kind == "meanvar";
}

void FeatureNorm::apply(float* rows, int64_t count, int64_t dim) const {
  if (none()) return;
  for (int64_t i = 0; i < count; ++i) {
    float* row = rows + i * dim;
    if (kind == "l2") {
      divide_by_length(row, dim);
      continue;
    }
    for (int64_t j = 0; j < dim; ++j)
      row[j] = (row[j] - mean[static_cast<std::size_t>(j)]) * scale[static_cast<std::size_t>(j)];
  }
}

Matrix FeatureNorm::applied(Matrix frames) const {
  apply(frames.data(), frames.rows(), frames.columns());
  return frames;
}

Json FeatureNorm::to_json() const {
  Json json = {{"kind", kind}};
  if (kind == "meanvar") json.update({{"mean", mean}, {"scale", scale}});
  return json;
}

FeatureNorm FeatureNorm::from_json(const Json& json, const std::string& where) {
  FeatureNorm norm;
  norm.kind = json_get<std::string>(json, "kind", where);
  if (!is_feature_norm(norm.kind))
    fail("{}: normalisation {} is none that this program knows (none, l2, meanvar)", where, norm.kind);
  if (norm.kind != "meanvar") return norm;
  norm.mean = json_get<std::vector<float>>(json, "mean", where);
  norm.scale = json_get<std::vector<float>>(json, "scale", where);
  if (norm.mean.size() != norm.scale.size()) fail("{}: mean and scale differ in length", where);
  for (std::size_t j = 0; j < norm.mean.size(); ++j)
    if (!std::isfinite(norm.mean[j]) || !std::isfinite(norm.scale[j]))
      fail("{}: the normalisation of dimension {} is not finite", where, j);
  return norm;
}

}  // namespace retort
