#include "base/yaml.h"

#include <yaml-cpp/yaml.h>

#include <charconv>

#include "base/files.h"

namespace retort {
namespace {

constexpr int deepest = 64;
constexpr int most_nodes = 100'000;  // aliases let a small file unfold without end

template <class T>
bool parses_as(const std::string& text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

Json from_scalar(const YAML::Node& node) {
  const std::string& text = node.Scalar();
  if (node.Tag() == "!") return text;  // quoted
  if (text == "true" || text == "True") return true;
  if (text == "false" || text == "False") return false;
  int64_t integer = 0;
  if (parses_as(text, integer)) return integer;
  double real = 0;
  if (parses_as(text, real)) return real;
  return text;
}

Json from_node(const YAML::Node& node, const std::string& where, int depth, int& nodes) {
  if (depth > deepest || ++nodes > most_nodes) fail("{}: it is too large or nested too deep", where);
  if (node.IsScalar()) return from_scalar(node);
  if (node.IsSequence()) {
    Json array = Json::array();
    for (const YAML::Node& item : node) array.push_back(from_node(item, where, depth + 1, nodes));
    return array;
  }
  if (node.IsMap()) {
    Json object = Json::object();
    for (const auto& entry : node) {
      if (!entry.first.IsScalar()) fail("{}: a key of it is no plain text", where);
      object[entry.first.Scalar()] = from_node(entry.second, where, depth + 1, nodes);
    }
    return object;
  }
  return nullptr;
}

}  // namespace

Json read_json_or_yaml(const std::filesystem::path& path) {
  if (path.extension() != ".yaml" && path.extension() != ".yml") return read_json(path);
  try {
    int nodes = 0;
    return from_node(YAML::Load(read_file(path)), path.string(), 0, nodes);
  } catch (const YAML::Exception& error) {
    fail("{}: is no YAML (line {}: {})", path.string(), error.mark.line + 1, error.msg);
  }
}

}  // namespace retort
