// Python's pickles (protocols 0 to 5) as inert data: nothing in a pickle is ever run or imported.
//
// Containers, scalars and PyTorch's tensors become values. An instance of any class becomes a `record` that
// holds its class's name and the data it was saved with. A pickle that calls a function is refused, in one
// line that names it; docs/decisions.md has the rule.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace retort {

// A tensor as a checkpoint describes it: a strided view of a storage. All counts are in elements.
struct TorchTensor {
  std::string dtype;  // as safetensors names it: "F32", "F16", "BF16", "F64", "I64", "BOOL", ...
  std::vector<int64_t> shape;
  std::vector<int64_t> stride;
  int64_t offset = 0;   // of the first element in the storage
  std::string storage;  // the storage's key in the file; tensors with the same key share memory

  int64_t count() const;  // elements; the reader has made sure that they can be counted
};

// A storage as the pickle declares it.
struct TorchStorage {
  int64_t count = 0;           // elements
  std::size_t item_bytes = 1;  // bytes of one

  uint64_t bytes() const { return static_cast<uint64_t>(count) * item_bytes; }
};

class PickleValue;

struct PickleEntry {
  const PickleValue* key = nullptr;
  const PickleValue* value = nullptr;
};

// One value; it lives as long as its Pickle does. Values may be shared and may contain themselves.
class PickleValue {
 public:
  enum class Kind { none, boolean, integer, real, text, bytes, list, tuple, dict, set, tensor, record };

  // Only a PickleBuilder has the key to making values: they belong to a Pickle.
  class Key {
    friend class PickleBuilder;
    Key() = default;
  };
  PickleValue(Key, Kind kind) : kind_(kind) {}
  PickleValue(const PickleValue&) = delete;
  PickleValue& operator=(const PickleValue&) = delete;

  Kind kind() const { return kind_; }
  bool is_none() const { return kind_ == Kind::none; }
  bool is_text() const { return kind_ == Kind::text; }
  bool is_dict() const { return kind_ == Kind::dict; }
  bool is_tensor() const { return kind_ == Kind::tensor; }
  bool is_record() const { return kind_ == Kind::record; }

  // The value of a text key of a dict; of a record: of its own entries (a dict's subclass) or else an
  // attribute of its state. nullptr where there is none, and for every other kind.
  const PickleValue* find(std::string_view key) const;
  // The same, but an Error naming `where` if there is none.
  const PickleValue& at(std::string_view key, const std::string& where) const;

  // Elements of a list, tuple or set, and of a record whose class is a list's subclass; else empty.
  std::span<const PickleValue* const> items() const { return items_; }
  // Keys and values of a dict, and of a record whose class is a dict's subclass, in their order; else empty.
  // A damaged file may hold a key twice: as in Python, the last one counts.
  std::span<const PickleEntry> entries() const { return entries_; }

  // The scalar, or a one-line Error that begins with `where`. Integers are taken as reals, nothing else is
  // converted.
  std::string as_text(const std::string& where) const;
  int64_t as_int(const std::string& where) const;
  double as_real(const std::string& where) const;
  bool as_bool(const std::string& where) const;
  // Raw bytes, of `bytes` and of `text` (UTF-8); empty for other kinds.
  std::string_view raw() const { return text_; }

  const TorchTensor& tensor(const std::string& where) const;

  // Records: "argparse.Namespace" and the like, "" for every other kind.
  std::string class_name() const;
  // Records: what the class was called with (a tuple; nullptr for a class or function that is named, not
  // called).
  const PickleValue* arguments() const { return arguments_; }
  // Records: what was set on the instance afterwards, mostly a dict of attributes; nullptr where nothing was.
  const PickleValue* state() const { return state_; }

  // "a dict", "a text", "an instance of a.B", ...: for messages. One line, whatever the file holds.
  std::string describe() const;

 private:
  friend class PickleBuilder;

  Kind kind_;
  union {
    int64_t integer_ = 0;
    double real_;
  };
  std::string_view text_;  // text, bytes; the module of a record
  std::string_view name_;  // records: the qualified name within the module
  std::vector<const PickleValue*> items_;
  std::vector<PickleEntry> entries_;
  const PickleValue* arguments_ = nullptr;
  const PickleValue* state_ = nullptr;
  std::unique_ptr<TorchTensor> tensor_;
};

// What a pickle may ask for; far above what checkpoints of speech models have.
struct PickleLimits {
  std::size_t bytes = 64 << 20;   // length of the pickle
  std::size_t steps = 4'000'000;  // values made and references to them
};

// One pickle, and the owner of its values.
class Pickle {
 public:
  // Parses the pickle at the beginning of `bytes`, which may go on behind it. `where` begins every Error.
  Pickle(std::string_view bytes, const std::string& where, const PickleLimits& limits = {});

  const PickleValue& root() const { return *root_; }
  // Its length in bytes.
  std::size_t size() const { return size_; }
  // The storages that its tensors name, by key.
  const std::map<std::string, TorchStorage>& storages() const { return storages_; }

 private:
  friend class PickleBuilder;

  std::deque<PickleValue> values_;
  std::deque<std::string> texts_;  // blocks of text that values point into
  std::map<std::string, TorchStorage> storages_;
  const PickleValue* root_ = nullptr;
  std::size_t size_ = 0;
};

// Plain data out of a pickle: dicts become objects (keys that are no text are written as text), lists, tuples
// and sets arrays; argparse.Namespace and any other record with attributes an object of them; omegaconf's
// containers and nodes what they contain; enums their value or name; paths and devices text; classes that are
// only named "module.name"; tensors, arrays and bytes null. An Error for what is nested too deep or too large
// for a configuration.
Json plain_json(const PickleValue& value, const std::string& where = "pickle");

// The tensors of a state dict by name; an Error naming `where` and the key for anything else in it, other
// than entries whose names are among `others`.
std::map<std::string, TorchTensor> tensors_of(const PickleValue& state_dict, const std::string& where,
                                              const std::set<std::string>& others = {});

}  // namespace retort
