#include "store/pickle_reader.h"

#include <bit>
#include <charconv>
#include <cstring>
#include <system_error>

#include "base/error.h"

namespace retort {
namespace {

constexpr int newest_protocol = 5;

// Opcodes by the names that Python's pickletools gives them.
enum Opcode : unsigned char {
  op_mark = '(',
  op_stop = '.',
  op_pop = '0',
  op_pop_mark = '1',
  op_dup = '2',
  op_float = 'F',
  op_int = 'I',
  op_binint = 'J',
  op_binint1 = 'K',
  op_long = 'L',
  op_binint2 = 'M',
  op_none = 'N',
  op_persid = 'P',
  op_binpersid = 'Q',
  op_reduce = 'R',
  op_string = 'S',
  op_binstring = 'T',
  op_short_binstring = 'U',
  op_unicode = 'V',
  op_binunicode = 'X',
  op_append = 'a',
  op_build = 'b',
  op_global = 'c',
  op_dict = 'd',
  op_empty_dict = '}',
  op_appends = 'e',
  op_get = 'g',
  op_binget = 'h',
  op_inst = 'i',
  op_long_binget = 'j',
  op_list = 'l',
  op_empty_list = ']',
  op_obj = 'o',
  op_put = 'p',
  op_binput = 'q',
  op_long_binput = 'r',
  op_setitem = 's',
  op_tuple = 't',
  op_empty_tuple = ')',
  op_setitems = 'u',
  op_binfloat = 'G',
  op_proto = 0x80,
  op_newobj = 0x81,
  op_tuple1 = 0x85,
  op_tuple2 = 0x86,
  op_tuple3 = 0x87,
  op_newtrue = 0x88,
  op_newfalse = 0x89,
  op_long1 = 0x8a,
  op_long4 = 0x8b,
  op_binbytes = 'B',
  op_short_binbytes = 'C',
  op_short_binunicode = 0x8c,
  op_binunicode8 = 0x8d,
  op_binbytes8 = 0x8e,
  op_empty_set = 0x8f,
  op_additems = 0x90,
  op_frozenset = 0x91,
  op_newobj_ex = 0x92,
  op_stack_global = 0x93,
  op_memoize = 0x94,
  op_frame = 0x95,
  op_bytearray8 = 0x96,
};

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// The number in the `count` hex digits at `at`; -1 where there are fewer.
int64_t hex_number(std::string_view text, std::size_t at, std::size_t count) {
  if (text.size() < at + count) return -1;
  int64_t number = 0;
  for (const char c : text.substr(at, count)) {
    const int digit = hex_digit(c);
    if (digit < 0) return -1;
    number = number * 16 + digit;
  }
  return number;
}

void append_utf8(std::string& text, uint32_t code) {
  const auto tail = [&](int shift) { text += static_cast<char>(0x80 | ((code >> shift) & 0x3f)); };
  if (code < 0x80) {
    text += static_cast<char>(code);
  } else if (code < 0x800) {
    text += static_cast<char>(0xc0 | (code >> 6));
    tail(0);
  } else if (code < 0x10000) {
    text += static_cast<char>(0xe0 | (code >> 12));
    tail(6);
    tail(0);
  } else {
    text += static_cast<char>(0xf0 | (code >> 18));
    tail(12);
    tail(6);
    tail(0);
  }
}

// What stands in quotes in Python's source, without them; false where an escape is cut.
bool unescape(std::string_view quoted, std::string& out) {
  static constexpr std::string_view plain = "\\'\"abfnrtv";
  static constexpr std::string_view meant = "\\'\"\a\b\f\n\r\t\v";
  for (std::size_t i = 0; i < quoted.size(); ++i) {
    if (quoted[i] != '\\') {
      out += quoted[i];
      continue;
    }
    if (++i == quoted.size()) return false;
    if (const std::size_t found = plain.find(quoted[i]); found != std::string_view::npos) {
      out += meant[found];
    } else if (quoted[i] == 'x') {
      const int64_t code = hex_number(quoted, i + 1, 2);
      if (code < 0) return false;
      out += static_cast<char>(code);
      i += 2;
    } else if (quoted[i] >= '0' && quoted[i] <= '7') {
      int code = 0;
      std::size_t digits = 0;
      for (;
           digits < 3 && i + digits < quoted.size() && quoted[i + digits] >= '0' && quoted[i + digits] <= '7';
           ++digits)
        code = code * 8 + (quoted[i + digits] - '0');
      out += static_cast<char>(code & 0xff);
      i += digits - 1;
    } else {
      out += '\\';
      out += quoted[i];
    }
  }
  return true;
}

}  // namespace

PickleReader::PickleReader(std::string_view bytes, Pickle& pickle, const std::string& where,
                           const PickleLimits& limits)
    : bytes_(bytes.substr(0, limits.bytes)), build_(pickle, where, limits), largest_memo_(limits.steps) {
  if (bytes.size() > limits.bytes) too_long_ = fmt::format("it is longer than {} bytes", limits.bytes);
}

const PickleValue* PickleReader::read() {
  while (!stopped_) step(static_cast<unsigned char>(take(1)[0]));
  return pop();
}

void PickleReader::step(unsigned char opcode) {
  const bool known = step_scalar(opcode) || step_text(opcode) || step_container(opcode) ||
                     step_memo(opcode) || step_object(opcode);
  if (!known)
    build_.damaged(fmt::format("byte {} is no opcode that checkpoints have: 0x{:02x}", at_ - 1, opcode));
}

std::string_view PickleReader::take(uint64_t bytes) {
  if (bytes > bytes_.size() - at_) build_.damaged(too_long_.empty() ? "it is cut short" : too_long_);
  const std::string_view taken = bytes_.substr(at_, bytes);
  at_ += bytes;
  return taken;
}

std::string_view PickleReader::take_line() {
  const std::size_t end = bytes_.find('\n', at_);
  if (end == std::string_view::npos) build_.damaged("a line has no end");
  const std::string_view line = take(end - at_);
  take(1);
  return line;
}

uint64_t PickleReader::take_number(int bytes) {
  uint64_t number = 0;
  std::memcpy(&number, take(static_cast<uint64_t>(bytes)).data(), static_cast<std::size_t>(bytes));
  return number;
}

double PickleReader::take_big_endian_real() {
  return std::bit_cast<double>(__builtin_bswap64(take_number(8)));
}

void PickleReader::push(PickleValue* value) {
  build_.charge(1);
  stack_.push_back(value);
}

PickleValue* PickleReader::pop() {
  top();
  PickleValue* value = stack_.back();
  stack_.pop_back();
  return value;
}

PickleValue& PickleReader::top() {
  if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) build_.damaged("its stack is empty");
  return *stack_.back();
}

PickleReader::Values PickleReader::pop_to_mark() {
  if (marks_.empty()) build_.damaged("a mark is missing");
  const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
  Values values(begin, stack_.end());
  stack_.erase(begin, stack_.end());
  marks_.pop_back();
  return values;
}

PickleValue* PickleReader::tuple_of(const Values& values) {
  const std::vector<const PickleValue*> items(values.begin(), values.end());
  return build_.tuple(items);
}

void PickleReader::remember(uint64_t index) {
  if (index > largest_memo_) build_.damaged(fmt::format("memo entry {}", index));
  if (index >= memo_.size()) memo_.resize(index + 1);
  memo_[index] = &top();
}

PickleValue* PickleReader::recall(uint64_t index) {
  if (index >= memo_.size() || memo_[index] == nullptr)
    build_.damaged(fmt::format("memo entry {} is not there", index));
  return memo_[index];
}

uint64_t PickleReader::line_number() {
  const std::string_view line = take_line();
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), number);
  if (error != std::errc{} || end != line.data() + line.size()) build_.damaged("a number cannot be read");
  return number;
}

bool PickleReader::step_scalar(unsigned char opcode) {
  switch (opcode) {
    case op_none:
      push(build_.none());
      return true;
    case op_newtrue:
      push(build_.boolean(true));
      return true;
    case op_newfalse:
      push(build_.boolean(false));
      return true;
    case op_binint:
      push(build_.integer(static_cast<int32_t>(take_number(4))));
      return true;
    case op_binint1:
      push(build_.integer(static_cast<int64_t>(take_number(1))));
      return true;
    case op_binint2:
      push(build_.integer(static_cast<int64_t>(take_number(2))));
      return true;
    case op_long1:
      push(build_.long_integer(take(take_number(1))));
      return true;
    case op_long4:
      push(build_.long_integer(take(take_number(4))));
      return true;
    case op_binfloat:
      push(build_.real(take_big_endian_real()));
      return true;
    case op_int:
      push_decimal(take_line());
      return true;
    case op_long:
      push_long(take_line());
      return true;
    case op_float:
      push_real(take_line());
      return true;
    default:
      return false;
  }
}

bool PickleReader::step_text(unsigned char opcode) {
  switch (opcode) {
    case op_string:
      push_quoted(take_line());
      return true;
    case op_unicode:
      push_escaped_unicode(take_line());
      return true;
    case op_binstring:
    case op_binunicode:
      push(build_.text(take(take_number(4))));
      return true;
    case op_short_binstring:
    case op_short_binunicode:
      push(build_.text(take(take_number(1))));
      return true;
    case op_binunicode8:
      push(build_.text(take(take_number(8))));
      return true;
    case op_short_binbytes:
      push(build_.bytes(take(take_number(1))));
      return true;
    case op_binbytes:
      push(build_.bytes(take(take_number(4))));
      return true;
    case op_binbytes8:
    case op_bytearray8:
      push(build_.bytes(take(take_number(8))));
      return true;
    default:
      return false;
  }
}

bool PickleReader::step_container(unsigned char opcode) {
  switch (opcode) {
    case op_empty_list:
      push(build_.list());
      return true;
    case op_empty_dict:
      push(build_.dict());
      return true;
    case op_empty_set:
      push(build_.set());
      return true;
    case op_empty_tuple:
      push(build_.tuple({}));
      return true;
    case op_tuple:
      push(tuple_of(pop_to_mark()));
      return true;
    case op_tuple1:
    case op_tuple2:
    case op_tuple3: {
      Values values(opcode - op_tuple1 + 1u);
      for (std::size_t i = values.size(); i-- > 0;) values[i] = pop();
      push(tuple_of(values));
      return true;
    }
    case op_list: {
      const Values items = pop_to_mark();
      push(build_.list());
      append_items(items);
      return true;
    }
    case op_frozenset: {
      const Values items = pop_to_mark();
      push(build_.set());
      append_items(items);
      return true;
    }
    case op_dict: {
      const Values values = pop_to_mark();
      push(build_.dict());
      set_items(top(), values);
      return true;
    }
    case op_append:
      append_items({pop()});
      return true;
    case op_appends:
    case op_additems:
      append_items(pop_to_mark());
      return true;
    case op_setitem: {
      PickleValue* value = pop();
      PickleValue* key = pop();
      set_items(top(), {key, value});
      return true;
    }
    case op_setitems: {
      const Values values = pop_to_mark();
      set_items(top(), values);
      return true;
    }
    default:
      return false;
  }
}

bool PickleReader::step_memo(unsigned char opcode) {
  switch (opcode) {
    case op_mark:
      build_.charge(1);
      marks_.push_back(stack_.size());
      return true;
    case op_pop:
      // As Python has it: popping where there is only a mark pops the mark.
      if (!marks_.empty() && marks_.back() == stack_.size())
        marks_.pop_back();
      else
        pop();
      return true;
    case op_pop_mark:
      pop_to_mark();
      return true;
    case op_dup:
      push(&top());
      return true;
    case op_get:
      push(recall(line_number()));
      return true;
    case op_binget:
      push(recall(take_number(1)));
      return true;
    case op_long_binget:
      push(recall(take_number(4)));
      return true;
    case op_put:
      remember(line_number());
      return true;
    case op_binput:
      remember(take_number(1));
      return true;
    case op_long_binput:
      remember(take_number(4));
      return true;
    case op_memoize:
      remember(memo_.size());
      return true;
    default:
      return false;
  }
}

bool PickleReader::step_object(unsigned char opcode) {
  switch (opcode) {
    case op_proto: {
      const uint64_t protocol = take_number(1);
      if (protocol > newest_protocol) build_.damaged(fmt::format("protocol {}; 0 to 5 are known", protocol));
      return true;
    }
    case op_frame:
      take_number(8);
      return true;  // only a hint of how much to read at once
    case op_stop:
      stopped_ = true;
      return true;
    case op_global:
      push_global();
      return true;
    case op_stack_global: {
      const PickleValue* name = pop();
      const PickleValue* module = pop();
      if (!name->is_text() || !module->is_text()) build_.damaged("a class without a name");
      push(build_.global(module->raw(), name->raw()));
      return true;
    }
    case op_reduce:
      push_called(false);
      return true;
    case op_newobj:
      push_called(true);
      return true;
    case op_newobj_ex:
      push_instance_with_keywords();
      return true;
    case op_inst:
      push_old_instance(true);
      return true;
    case op_obj:
      push_old_instance(false);
      return true;
    case op_build: {
      const PickleValue* state = pop();
      build_.set_state(top(), *state);
      return true;
    }
    case op_binpersid:
      push(build_.persistent(*pop()));
      return true;
    default:
      return false;
  }
}

// INT: a decimal; 00 and 01 are how protocol 1 and older write booleans.
void PickleReader::push_decimal(std::string_view line) {
  if (line == "00" || line == "01")
    push(build_.boolean(line == "01"));
  else
    push_long(line);
}

void PickleReader::push_long(std::string_view line) {
  if (line.ends_with('L')) line.remove_suffix(1);
  int64_t value = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), value);
  const bool whole = end == line.data() + line.size();
  if (error == std::errc::result_out_of_range && whole)
    push_real(line);
  else if (error != std::errc{} || !whole)
    build_.damaged("an integer cannot be read");
  else
    push(build_.integer(value));
}

void PickleReader::push_real(std::string_view line) {
  double value = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), value);
  if (error != std::errc{} || end != line.data() + line.size()) build_.damaged("a number cannot be read");
  push(build_.real(value));
}

// STRING: as in Python's source, in quotes.
void PickleReader::push_quoted(std::string_view line) {
  std::string text;
  const bool quoted = line.size() >= 2 && (line[0] == '\'' || line[0] == '"') && line.back() == line[0];
  if (!quoted || !unescape(line.substr(1, line.size() - 2), text)) build_.damaged("a text cannot be read");
  push(build_.text(text));
}

// UNICODE: Latin-1 with \uXXXX and \UXXXXXXXX for what it lacks.
void PickleReader::push_escaped_unicode(std::string_view line) {
  std::string text;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char kind = line[i] == '\\' && i + 1 < line.size() ? line[i + 1] : '\0';
    if (kind != 'u' && kind != 'U') {
      append_utf8(text, static_cast<unsigned char>(line[i]));
      continue;
    }
    const std::size_t digits = kind == 'u' ? 4 : 8;
    const int64_t code = hex_number(line, i + 2, digits);
    if (code < 0 || code > 0x10ffff) build_.damaged("a text cannot be read");
    append_utf8(text, static_cast<uint32_t>(code));
    i += 1 + digits;
  }
  push(build_.text(text));
}

void PickleReader::append_items(const Values& items) {
  PickleValue& target = top();
  for (const PickleValue* item : items) build_.append(target, *item);
}

void PickleReader::set_items(PickleValue& target, const Values& values) {
  if (values.size() % 2 != 0) build_.damaged("a key without a value");
  for (std::size_t i = 0; i < values.size(); i += 2) build_.set_item(target, *values[i], *values[i + 1]);
}

void PickleReader::push_global() {
  const std::string_view module = take_line();
  const std::string_view name = take_line();
  push(build_.global(module, name));
}

// INST and OBJ, of protocols 0 and 1: a class (named in lines, or below its arguments) and what lies above
// the mark.
void PickleReader::push_old_instance(bool named) {
  if (named) {
    push_global();
    PickleValue* type = pop();
    push(build_.call(*type, *tuple_of(pop_to_mark()), false));
    return;
  }
  Values values = pop_to_mark();
  if (values.empty()) build_.damaged("an object of no class");
  const PickleValue* type = values.front();
  values.erase(values.begin());
  push(build_.call(*type, *tuple_of(values), false));
}

void PickleReader::push_called(bool instance) {
  const PickleValue* arguments = pop();
  const PickleValue* callee = pop();
  push(build_.call(*callee, *arguments, instance));
}

void PickleReader::push_instance_with_keywords() {
  const PickleValue* keywords = pop();
  const PickleValue* arguments = pop();
  const PickleValue* type = pop();
  PickleValue* made = build_.call(*type, *arguments, true);
  if (!keywords->is_dict()) build_.damaged("an object without keywords");
  // What a constructor would make of them is not known; they are kept where attributes are.
  if (!keywords->entries().empty() && made->is_record()) build_.set_state(*made, *keywords);
  push(made);
}

Pickle::Pickle(std::string_view bytes, const std::string& where, const PickleLimits& limits) {
  PickleReader reader(bytes, *this, where, limits);
  root_ = reader.read();
  size_ = reader.position();
}

}  // namespace retort
