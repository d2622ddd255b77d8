// Makes the values of a Pickle and decides what the calls in it mean. Part of the unpickler; others include
// store/pickle.h.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "store/pickle.h"

namespace retort {

class PickleBuilder {
 public:
  using Kind = PickleValue::Kind;
  using Items = std::span<const PickleValue* const>;

  PickleBuilder(Pickle& pickle, std::string where, const PickleLimits& limits);

  [[noreturn]] void damaged(std::string_view what) const;

  // Counts what a pickle costs: every value made and every reference kept. An Error beyond the limit.
  void charge(std::size_t steps);

  PickleValue* none() { return none_; }
  PickleValue* boolean(bool value) { return value ? true_ : false_; }
  PickleValue* integer(int64_t value);
  PickleValue* real(double value);
  // Two's complement, little-endian, as LONG1 has it; a real where 64 bits do not hold it.
  PickleValue* long_integer(std::string_view bytes);
  // Text where it is UTF-8, else bytes (lone surrogates; strings of Python 2).
  PickleValue* text(std::string_view utf8);
  PickleValue* bytes(std::string_view raw);
  PickleValue* list() { return make(Kind::list); }
  PickleValue* dict() { return make(Kind::dict); }
  PickleValue* set() { return make(Kind::set); }
  PickleValue* tuple(Items items);
  // A class or function that is named.
  PickleValue* global(std::string_view module, std::string_view name);

  void append(PickleValue& target, const PickleValue& item);
  void set_item(PickleValue& target, const PickleValue& key, const PickleValue& value);
  void set_state(PickleValue& target, const PickleValue& state);

  // What calling `callee` with `arguments` (a tuple) makes: a value, a record, or an Error that names what
  // the pickle wanted to call. `instance` is true for the opcodes that only make instances of classes.
  PickleValue* call(const PickleValue& callee, const PickleValue& arguments, bool instance);
  // What a persistent id stands for; PyTorch names storages by them.
  PickleValue* persistent(const PickleValue& id);

 private:
  struct Storage {
    std::string key;
    std::string dtype;
    int64_t first = 0;  // element, where it is a view in an old file
  };
  using Maker = PickleValue* (PickleBuilder::*)(Items);
  static const std::unordered_map<std::string_view, Maker>& makers();

  PickleValue* make(Kind kind);
  std::string_view keep(std::string_view bytes);
  [[noreturn]] void refuse_call(std::string_view what) const;
  static bool is_named(const PickleValue& value) { return value.is_record() && value.arguments_ == nullptr; }
  bool may_be_class(const PickleValue& type, bool instance) const;
  PickleValue* instance_of(const PickleValue& type, const PickleValue& arguments);
  PickleValue* filled(Kind kind, Items arguments);

  PickleValue* make_dict(Items arguments);
  PickleValue* make_default_dict(Items arguments);
  PickleValue* make_list(Items arguments) { return filled(Kind::list, arguments); }
  PickleValue* make_tuple(Items arguments) { return filled(Kind::tuple, arguments); }
  PickleValue* make_set(Items arguments) { return filled(Kind::set, arguments); }
  PickleValue* make_bytes(Items arguments);
  PickleValue* make_attribute(Items arguments);
  PickleValue* make_type(Items arguments);
  PickleValue* make_generic(Items arguments);
  PickleValue* make_union(Items arguments);
  PickleValue* make_reconstructed(Items arguments);
  PickleValue* make_new_object(Items arguments);
  PickleValue* make_numpy_scalar(Items arguments);
  PickleValue* make_tensor(Items arguments);
  PickleValue* make_tensor_v3(Items arguments);
  PickleValue* make_parameter(Items arguments);
  PickleValue* make_tensor_subclass(Items arguments);

  const Storage& storage(const PickleValue& value) const;
  PickleValue* tensor(const Storage& from, std::string_view dtype, Items arguments);
  std::vector<int64_t> sizes(const PickleValue& value) const;
  int64_t count_of(const PickleValue& value) const;
  const PickleValue& argument(Items arguments, std::size_t index) const;

  Pickle& pickle_;
  std::string where_;
  PickleLimits limits_;
  std::size_t steps_ = 0;
  std::size_t text_bytes_ = 0;
  int nested_calls_ = 0;
  std::unordered_map<const PickleValue*, Storage> storages_;
  PickleValue* none_ = nullptr;
  PickleValue* true_ = nullptr;
  PickleValue* false_ = nullptr;
};

}  // namespace retort
