#include "base/overrides.h"

namespace retort {
namespace {

// The value at a dotted key, or null.
Json* find_key(Json& document, const std::string& key) {
  Json* at = &document;
  for (std::size_t begin = 0; begin <= key.size();) {
    const std::size_t dot = std::min(key.find('.', begin), key.size());
    const auto found = at->is_object() ? at->find(key.substr(begin, dot - begin)) : at->end();
    if (!at->is_object() || found == at->end()) return nullptr;
    at = &*found;
    begin = dot + 1;
  }
  return at;
}

bool same_kind(const Json& old_value, const Json& value) {
  if (old_value.is_number_integer()) return value.is_number_integer();
  if (old_value.is_number()) return value.is_number();
  return old_value.type() == value.type();
}

}  // namespace

void apply_override(Json& document, const std::string& assignment, const std::string& kind) {
  const std::size_t equals = assignment.find('=');
  if (equals == std::string::npos || equals == 0) fail_usage("--set {}: should be key=value", assignment);
  const std::string key = assignment.substr(0, equals);
  Json* old_value = find_key(document, key);
  if (old_value == nullptr || old_value->is_object())
    fail_usage("--set {}: the {} has no value called {} (--print-config shows all)", assignment, kind, key);
  const std::string text = assignment.substr(equals + 1);
  Json value = old_value->is_string() ? Json(text) : Json::parse(text, nullptr, false);
  if (value.is_discarded() || !same_kind(*old_value, value))
    fail_usage("--set {}: {} is {}, so {} cannot replace it", assignment, key, old_value->dump(), text);
  if (old_value->is_number_float()) value = value.get<double>();
  *old_value = std::move(value);
}

}  // namespace retort
