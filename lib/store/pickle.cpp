#include "store/pickle.h"

#include <array>
#include <unordered_map>

#include "base/error.h"

namespace retort {
namespace {

using Kind = PickleValue::Kind;

const char* kind_name(Kind kind) {
  switch (kind) {
    case Kind::none:
      return "None";
    case Kind::boolean:
      return "a bool";
    case Kind::integer:
      return "an int";
    case Kind::real:
      return "a float";
    case Kind::text:
      return "a text";
    case Kind::bytes:
      return "bytes";
    case Kind::list:
      return "a list";
    case Kind::tuple:
      return "a tuple";
    case Kind::dict:
      return "a dict";
    case Kind::set:
      return "a set";
    case Kind::tensor:
      return "a tensor";
    case Kind::record:
      return "a record";
  }
  return "nothing";
}

const PickleValue* last_with_key(std::span<const PickleEntry> entries, std::string_view key) {
  for (std::size_t i = entries.size(); i-- > 0;)
    if (entries[i].key->is_text() && entries[i].key->raw() == key) return entries[i].value;
  return nullptr;
}

// The dicts among an instance's state: one, or two where its class has slots.
std::array<const PickleValue*, 2> attribute_dicts(const PickleValue* state) {
  std::array<const PickleValue*, 2> dicts{};
  if (state == nullptr) return dicts;
  if (state->is_dict()) dicts[0] = state;
  if (state->kind() == Kind::tuple && state->items().size() == 2)
    for (std::size_t i = 0; i < dicts.size(); ++i)
      if (state->items()[i]->is_dict()) dicts[i] = state->items()[i];
  return dicts;
}

// Turns values into JSON within bounds: a pickle may share one value a million times, or hold itself.
class PlainJson {
 public:
  explicit PlainJson(const std::string& where) : where_(where) {}

  Json convert(const PickleValue& value) {
    if (++depth_ > deepest)
      fail("{}: is nested more than {} deep, which no configuration is", where_, deepest);
    if (++values_ > most_values)
      fail("{}: holds more than {} values, which no configuration does", where_, most_values);
    Json json = converted(value);
    --depth_;
    return json;
  }

 private:
  static constexpr int deepest = 200;
  static constexpr std::size_t most_values = 1'000'000;
  static constexpr std::size_t most_text = 64 << 20;

  Json converted(const PickleValue& value) {
    switch (value.kind()) {
      case Kind::boolean:
        return value.as_bool(where_);
      case Kind::integer:
        return value.as_int(where_);
      case Kind::real:
        return value.as_real(where_);
      case Kind::text:
        return text(value.raw());
      case Kind::list:
      case Kind::tuple:
      case Kind::set:
        return array(value.items());
      case Kind::dict:
        return object({value.entries()});
      case Kind::record:
        return record(value);
      default:
        return nullptr;
    }
  }

  std::string text(std::string_view utf8) {
    text_bytes_ += utf8.size();
    if (text_bytes_ > most_text)
      fail("{}: holds more than {} bytes of text, which no configuration does", where_, most_text);
    return std::string(utf8);
  }

  Json array(std::span<const PickleValue* const> items) {
    Json json = Json::array();
    for (const PickleValue* item : items) json.push_back(convert(*item));
    return json;
  }

  std::string key_text(const PickleValue& key) {
    if (key.is_text()) return text(key.raw());
    const Json plain = convert(key);
    // What is dumped may hold such keys itself, whose quotes are escaped again each time; so it counts as
    // text.
    return plain.is_string() ? plain.get<std::string>() : text(plain.dump());
  }

  // An object of several dicts' entries. A later value of the same key takes the place of an earlier one;
  // they are found by an index, since the JSON library looks through all keys each time.
  Json object(std::initializer_list<std::span<const PickleEntry>> dicts) {
    Json json = Json::object();
    auto& members = json.get_ref<Json::object_t&>();
    std::unordered_map<std::string, std::size_t> places;
    for (const std::span<const PickleEntry> entries : dicts)
      for (const PickleEntry& entry : entries) {
        const std::string key = key_text(*entry.key);
        Json member = convert(*entry.value);
        const auto [place, is_new] = places.try_emplace(key, members.size());
        if (is_new)
          members.emplace_back(key, std::move(member));
        else
          (members.begin() + static_cast<std::ptrdiff_t>(place->second))->second = std::move(member);
      }
    return json;
  }

  // "a/b" of a pathlib path, "cuda:0" of a device: the arguments, if all are plain, with something between
  // them.
  Json joined(std::span<const PickleValue* const> parts, std::string_view between) {
    std::string all;
    for (const PickleValue* part : parts) {
      if (!all.empty() && !all.ends_with(between)) all += between;
      all += key_text(*part);
    }
    return all;
  }

  Json record(const PickleValue& value) {
    const std::string name = value.class_name();
    if (value.arguments() == nullptr) return text(name);
    const auto attributes = attribute_dicts(value.state());
    const auto arguments = value.arguments()->items();
    if (name.starts_with("omegaconf."))
      for (const std::string_view content : {"_content", "_val"})
        if (const PickleValue* inner = value.find(content)) return convert(*inner);
    if (name.starts_with("pathlib.")) return joined(arguments, "/");
    if (name == "torch.device") return joined(arguments, ":");
    if (name.starts_with("numpy.")) return nullptr;
    if (!value.entries().empty()) return object({value.entries()});
    if (!value.items().empty()) return array(value.items());
    const auto entries_of = [](const PickleValue* dict) {
      return dict == nullptr ? std::span<const PickleEntry>() : dict->entries();
    };
    if (attributes[0] != nullptr || attributes[1] != nullptr)
      return object({entries_of(attributes[0]), entries_of(attributes[1])});
    if (value.state() != nullptr) return nullptr;
    // An enum's member is its class called with its value or name.
    if (arguments.size() == 1) return convert(*arguments[0]);
    return arguments.empty() ? Json::object() : Json(nullptr);
  }

  const std::string& where_;
  int depth_ = 0;
  std::size_t values_ = 0;
  std::size_t text_bytes_ = 0;
};

}  // namespace

int64_t TorchTensor::count() const {
  int64_t count = 1;
  bool empty = false, too_many = false;
  for (const int64_t size : shape) {
    if (size < 0) fail("a tensor has a negative size");
    empty = empty || size == 0;
    too_many = __builtin_mul_overflow(count, size, &count) || too_many;
  }
  if (empty) return 0;
  if (too_many) fail("a tensor has more elements than can be counted");
  return count;
}

const PickleValue* PickleValue::find(std::string_view key) const {
  if (const PickleValue* value = last_with_key(entries_, key)) return value;
  if (!is_record()) return nullptr;
  for (const PickleValue* attributes : attribute_dicts(state_))
    if (attributes != nullptr)
      if (const PickleValue* value = last_with_key(attributes->entries_, key)) return value;
  return nullptr;
}

const PickleValue& PickleValue::at(std::string_view key, const std::string& where) const {
  const PickleValue* value = find(key);
  if (value == nullptr) fail("{}: no \"{}\" in it", where, key);
  return *value;
}

std::string PickleValue::as_text(const std::string& where) const {
  if (!is_text()) fail("{}: is {}, a text was expected", where, describe());
  return std::string(text_);
}

int64_t PickleValue::as_int(const std::string& where) const {
  if (kind_ != Kind::integer) fail("{}: is {}, an int was expected", where, describe());
  return integer_;
}

double PickleValue::as_real(const std::string& where) const {
  if (kind_ == Kind::integer) return static_cast<double>(integer_);
  if (kind_ != Kind::real) fail("{}: is {}, a number was expected", where, describe());
  return real_;
}

bool PickleValue::as_bool(const std::string& where) const {
  if (kind_ != Kind::boolean) fail("{}: is {}, a bool was expected", where, describe());
  return integer_ != 0;
}

const TorchTensor& PickleValue::tensor(const std::string& where) const {
  if (!is_tensor()) fail("{}: is {}, a tensor was expected", where, describe());
  return *tensor_;
}

std::string PickleValue::class_name() const {
  return is_record() ? fmt::format("{}.{}", text_, name_) : std::string();
}

std::string PickleValue::describe() const {
  if (!is_record()) return kind_name(kind_);
  return (arguments_ == nullptr ? "the name " : "an instance of ") + one_line(class_name());
}

Json plain_json(const PickleValue& value, const std::string& where) {
  return PlainJson(where).convert(value);
}

std::map<std::string, TorchTensor> tensors_of(const PickleValue& state_dict, const std::string& where,
                                              const std::set<std::string>& others) {
  if (!state_dict.is_dict() && state_dict.entries().empty())
    fail("{}: is {}, a dict of tensors was expected", where, state_dict.describe());
  std::map<std::string, TorchTensor> tensors;
  for (const PickleEntry& entry : state_dict.entries()) {
    if (!entry.key->is_text())
      fail("{}: has {} for a key, a tensor's name was expected", where, entry.key->describe());
    const std::string name(entry.key->raw());
    if (others.contains(name)) continue;
    const std::string place = fmt::format("{}: {}", where, one_line(name));
    if (!tensors.emplace(name, entry.value->tensor(place)).second) fail("{}: is there twice", place);
  }
  return tensors;
}

}  // namespace retort
