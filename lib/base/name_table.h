// Names as numbers, in order of appearance.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

namespace retort {

class NameTable {
 public:
  // A new name gets the next number.
  int index(const std::string& name) {
    const auto [found, added] = indices_.emplace(name, static_cast<int>(names_.size()));
    if (added) names_.push_back(name);
    return found->second;
  }
  const std::vector<std::string>& names() const { return names_; }

 private:
  std::vector<std::string> names_;
  std::unordered_map<std::string, int> indices_;
};

}  // namespace retort
