// The stack machine of Python's pickles. Part of the unpickler; others include store/pickle.h.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "store/pickle_builder.h"

namespace retort {

class PickleReader {
 public:
  PickleReader(std::string_view bytes, Pickle& pickle, const std::string& where, const PickleLimits& limits);

  // Runs the machine to the pickle's end and returns its value; position() is then behind it.
  const PickleValue* read();
  std::size_t position() const { return at_; }

 private:
  using Values = std::vector<PickleValue*>;

  void step(unsigned char opcode);
  bool step_scalar(unsigned char opcode);
  bool step_text(unsigned char opcode);
  bool step_container(unsigned char opcode);
  bool step_memo(unsigned char opcode);
  bool step_object(unsigned char opcode);

  std::string_view take(uint64_t bytes);
  std::string_view take_line();
  uint64_t take_number(int bytes);
  double take_big_endian_real();

  void push(PickleValue* value);
  PickleValue* pop();
  PickleValue& top();
  // The values above the last mark, which goes with them.
  Values pop_to_mark();
  PickleValue* tuple_of(const Values& values);

  void remember(uint64_t index);
  PickleValue* recall(uint64_t index);
  uint64_t line_number();

  void push_decimal(std::string_view line);
  void push_long(std::string_view line);
  void push_real(std::string_view line);
  void push_quoted(std::string_view line);
  void push_escaped_unicode(std::string_view line);
  void append_items(const Values& items);
  void set_items(PickleValue& target, const Values& values);
  void push_global();
  void push_old_instance(bool named);
  void push_called(bool instance);
  void push_instance_with_keywords();

  std::string_view bytes_;
  std::size_t at_ = 0;
  PickleBuilder build_;
  Values stack_;
  std::vector<std::size_t> marks_;
  Values memo_;
  std::size_t largest_memo_;
  std::string too_long_;  // what is wrong if the bytes end too early; empty: they are cut
  bool stopped_ = false;
};

}  // namespace retort
