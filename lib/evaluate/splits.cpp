#include "evaluate/splits.h"

#include <algorithm>
#include <functional>
#include <map>

#include "base/hash.h"

namespace retort {
namespace {

constexpr std::size_t names_in_errors = 3;

Split given_split(const Utterance& utterance, const std::string& key) {
  const std::string value = value_of(utterance, key);
  for (const Split split : all_splits)
    if (value == name_of(split)) return split;
  fail("{}: \"{}\" is {}; should be train, dev or test", utterance.id, key, one_line(value));
}

// An Error where utterances of two splits have the same value; `what` says of what.
void require_apart(const std::vector<Utterance>& utterances, const std::vector<Split>& splits,
                   const std::string& what, const std::function<std::string(const Utterance&)>& value) {
  std::map<std::string, Split> first;
  std::vector<std::string> leaks;
  for (std::size_t i = 0; i < utterances.size(); ++i) {
    const std::string one = value(utterances[i]);
    const auto [found, added] = first.emplace(one, splits[i]);
    if (added || found->second == splits[i]) continue;
    if (std::any_of(leaks.begin(), leaks.end(),
                    [&](const auto& leak) { return leak.starts_with(one + " "); }))
      continue;
    leaks.push_back(fmt::format("{} ({} and {})", one, name_of(found->second), name_of(splits[i])));
  }
  if (leaks.empty()) return;
  const std::size_t shown = std::min(leaks.size(), names_in_errors);
  fail("splits share {} {}: {}{}", leaks.size(), what,
       fmt::join(leaks.begin(), leaks.begin() + static_cast<std::ptrdiff_t>(shown), ", "),
       leaks.size() > shown ? ", ..." : "");
}

}  // namespace

const char* name_of(Split split) {
  return split == Split::train ? "train" : split == Split::dev ? "dev" : "test";
}

std::string value_of(const Utterance& utterance, const std::string& key) {
  if (key == "id") return utterance.id;
  const auto found = utterance.extra.find(key);
  if (found == utterance.extra.end()) fail("{}: has no \"{}\" in its corpus line", utterance.id, key);
  return found->is_string() ? found->get<std::string>() : found->dump();
}

int hashed_tenth(const std::string& value) {
  return static_cast<int>(std::stoul(hash_text(value).substr(0, 8), nullptr, 16) % 10);
}

Split hashed_split(const std::string& value) {
  const int tenth = hashed_tenth(value);
  return tenth < 8 ? Split::train : tenth == 8 ? Split::dev : Split::test;
}

std::vector<Split> split_utterances(const std::vector<Utterance>& utterances, const SplitRule& rule) {
  std::vector<Split> splits;
  for (const Utterance& utterance : utterances)
    splits.push_back(rule.kind == "given" ? given_split(utterance, rule.key)
                                          : hashed_split(value_of(utterance, rule.key)));
  require_apart(utterances, splits, "stretches of audio", [](const Utterance& utterance) {
    return fmt::format("{}:{}:{}", utterance.path.string(), utterance.start, utterance.channel);
  });
  for (const std::string& key : rule.disjoint)
    require_apart(utterances, splits, fmt::format("values of \"{}\"", key),
                  [&](const Utterance& utterance) { return value_of(utterance, key); });
  return splits;
}

Json split_hashes(const std::vector<Utterance>& utterances, const std::vector<Split>& splits,
                  const std::vector<std::string>& targets) {
  std::map<Split, Hasher> hashers;
  for (std::size_t i = 0; i < utterances.size(); ++i)
    hashers[splits[i]].add(utterances[i].id + "\n" + targets[i] + "\n");
  Json hashes = Json::object();
  for (const Split split : all_splits) hashes[name_of(split)] = hashers[split].hex();
  return hashes;
}

void require_splits(const Json& hashes, const SplitRule& rule, const std::string& protocol) {
  for (const auto& [name, expected] :
       {std::pair("train", rule.train), {"dev", rule.dev}, {"test", rule.test}})
    if (!expected.empty() && hashes.at(name) != expected)
      fail("protocol {}: its {} split has hash {}, that of this corpus is {}; other data gives other scores",
           protocol, name, expected, hashes.at(name).get<std::string>());
}

}  // namespace retort
