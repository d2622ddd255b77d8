#include "common/json_config.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/error.h"

namespace retort {
namespace {

std::string plain(const Json& value) {
  if (value.is_object() || value.is_array())
    fail_usage("--config: {} is nested, a plain value was expected", value.dump());
  return value.is_string() ? value.get<std::string>() : value.dump();
}

Json read_object(std::istream& input) {
  const std::string text{std::istreambuf_iterator<char>(input), std::istreambuf_iterator<char>()};
  try {
    Json json = parse_json(text, "--config");
    if (json.is_object()) return json;
  } catch (const Error& error) {
    fail_usage("{}", error.what());
  }
  fail_usage("--config: the file should hold one JSON object");
}

}  // namespace

std::vector<CLI::ConfigItem> JsonConfig::from_config(std::istream& input) const {
  const Json object = read_object(input);
  std::vector<CLI::ConfigItem> parsed;
  for (const auto& [key, value] : object.items()) {
    if (follows_.contains(key)) {
      follows_[key] = value;
      continue;
    }
    CLI::ConfigItem item;
    item.name = key;
    std::replace(item.name.begin(), item.name.end(), '_', '-');
    if (!is_option(item.name)) fail_usage("--config: unknown key \"{}\"", key);
    if (value.is_null()) continue;
    for (const Json& element : value.is_array() ? value : Json::array({value}))
      item.inputs.push_back(plain(element));
    if (!item.inputs.empty()) parsed.push_back(std::move(item));
  }
  return parsed;
}

bool JsonConfig::is_option(const std::string& name) const {
  return app_.get_option_no_throw("--" + name) != nullptr || app_.get_option_no_throw(name) != nullptr;
}

}  // namespace retort
