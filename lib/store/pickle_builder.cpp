#include "store/pickle_builder.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "base/utf8.h"
#include "store/half.h"

namespace retort {
namespace {

constexpr std::size_t text_block = 64 << 10;
constexpr std::size_t largest_name = 512;   // of classes, modules and storage keys
constexpr std::size_t largest_rank = 32;    // dimensions of a tensor
constexpr std::size_t tensor_steps = 16;    // what a tensor costs besides its shape and strides
constexpr std::size_t largest_long = 1024;  // bytes of an integer
constexpr int deepest_call = 8;             // calls within the arguments of tensor subclasses

// Latin-1 out of UTF-8; false where a character is beyond it.
bool latin1(std::string_view utf8, std::string& out) {
  for (std::size_t i = 0; i < utf8.size(); ++i) {
    const auto byte = static_cast<unsigned char>(utf8[i]);
    if (byte < 0x80) {
      out += utf8[i];
    } else if ((byte == 0xc2 || byte == 0xc3) && i + 1 < utf8.size()) {
      out += static_cast<char>((byte & 3) << 6 | (static_cast<unsigned char>(utf8[++i]) & 0x3f));
    } else {
      return false;
    }
  }
  return true;
}

// Names that changed with the versions of Python, NumPy and PyTorch, under one spelling.
std::string canonical_name(std::string_view module, std::string_view name) {
  if (module == "__builtin__" && name == "reduce") module = "functools";
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 5> moved = {
      {{"__builtin__", "builtins"},
       {"copy_reg", "copyreg"},
       {"_operator", "operator"},
       {"numpy.core.multiarray", "numpy._core.multiarray"},
       {"torch.tensor", "torch._tensor"}}};
  for (const auto& [old, now] : moved)
    if (module == old) module = now;
  return fmt::format("{}.{}", module, name);
}

// Calls of these make plain data in Python too, although they are not named as classes are; they become
// records.
bool is_inert(std::string_view full) {
  static const std::unordered_set<std::string_view> names = {
      "array._array_reconstructor",
      "builtins.complex",
      "builtins.object",
      "builtins.range",
      "builtins.slice",
      "datetime.date",
      "datetime.datetime",
      "datetime.time",
      "datetime.timedelta",
      "datetime.timezone",
      "functools.partial",
      "numpy._core.multiarray._reconstruct",
      "numpy._core.numeric._frombuffer",
      "numpy.core.numeric._frombuffer",
      "numpy.dtype",
      "numpy.ndarray",
      "numpy.random._pickle.__bit_generator_ctor",
      "numpy.random._pickle.__generator_ctor",
      "numpy.random._pickle.__randomstate_ctor",
      "re._compile",
      "time.struct_time",
      "torch.device",
      "torch.serialization._get_layout",
      "torch.storage._load_from_bytes",
      "types.GenericAlias",
      "types.SimpleNamespace",
  };
  return names.contains(full) || full.starts_with("torch._utils._rebuild_");
}

// Packages whose classes run programs, code or threads. Their instances would do nothing here, but no
// checkpoint needs one, and a user should hear that the file tries.
bool is_dangerous_module(std::string_view module) {
  static const std::unordered_set<std::string_view> packages = {
      "_pickle", "asyncio", "bdb",    "cffi",    "cloudpickle", "code",      "codeop",   "commands",
      "ctypes",  "dill",    "ftplib", "http",    "importlib",   "marshal",   "nt",       "multiprocessing",
      "os",      "pdb",     "pip",    "pickle",  "posix",       "pty",       "requests", "runpy",
      "shutil",  "smtplib", "socket", "ssl",     "subprocess",  "sys",       "tempfile", "threading",
      "timeit",  "types",   "urllib", "urllib3", "webbrowser",  "zipimport", "_thread",  "_posixsubprocess"};
  return packages.contains(module.substr(0, module.find('.')));
}

bool begins_as_class(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  if (dot != std::string_view::npos) name.remove_prefix(dot + 1);
  while (name.starts_with('_')) name.remove_prefix(1);
  return !name.empty() && name[0] >= 'A' && name[0] <= 'Z';
}

struct ElementType {
  std::string_view dtype;
  std::size_t bytes = 0;
};

// PyTorch's storage classes; nullptr for an unknown one.
const ElementType* storage_type(std::string_view module, std::string_view name) {
  static const std::unordered_map<std::string_view, ElementType> types = {
      {"DoubleStorage", {"F64", 8}},       {"FloatStorage", {"F32", 4}},
      {"HalfStorage", {"F16", 2}},         {"BFloat16Storage", {"BF16", 2}},
      {"LongStorage", {"I64", 8}},         {"IntStorage", {"I32", 4}},
      {"ShortStorage", {"I16", 2}},        {"CharStorage", {"I8", 1}},
      {"ByteStorage", {"U8", 1}},          {"BoolStorage", {"BOOL", 1}},
      {"ComplexFloatStorage", {"C64", 8}}, {"ComplexDoubleStorage", {"C128", 16}},
      {"QInt8Storage", {"QI8", 1}},        {"QUInt8Storage", {"QU8", 1}},
      {"QInt32Storage", {"QI32", 4}},      {"QUInt4x2Storage", {"QU4X2", 1}},
      {"QUInt2x4Storage", {"QU2X4", 1}},   {"UntypedStorage", {"U8", 1}},
      {"_UntypedStorage", {"U8", 1}}};
  if (module != "torch" && module != "torch.cuda" && module != "torch.storage") return nullptr;
  const auto found = types.find(name);
  return found == types.end() ? nullptr : &found->second;
}

// torch.float32 and the like.
const ElementType* torch_dtype(std::string_view name) {
  static const std::unordered_map<std::string_view, ElementType> types = {
      {"float64", {"F64", 8}},        {"float32", {"F32", 4}},
      {"float16", {"F16", 2}},        {"bfloat16", {"BF16", 2}},
      {"int64", {"I64", 8}},          {"int32", {"I32", 4}},
      {"int16", {"I16", 2}},          {"int8", {"I8", 1}},
      {"uint64", {"U64", 8}},         {"uint32", {"U32", 4}},
      {"uint16", {"U16", 2}},         {"uint8", {"U8", 1}},
      {"bool", {"BOOL", 1}},          {"complex64", {"C64", 8}},
      {"complex128", {"C128", 16}},   {"float8_e4m3fn", {"F8_E4M3", 1}},
      {"float8_e5m2", {"F8_E5M2", 1}}};
  const auto found = types.find(name);
  return found == types.end() ? nullptr : &found->second;
}

template <class T>
T little_endian(std::string_view bytes) {
  T value{};
  std::memcpy(&value, bytes.data(), sizeof(T));
  return value;
}

// Values that a Pickle owns are never const themselves; its containers only see them so.
PickleValue* own(const PickleValue& value) {
  return const_cast<PickleValue*>(&value);
}

}  // namespace

PickleBuilder::PickleBuilder(Pickle& pickle, std::string where, const PickleLimits& limits)
    : pickle_(pickle), where_(std::move(where)), limits_(limits) {
  none_ = make(Kind::none);
  true_ = make(Kind::boolean);
  true_->integer_ = 1;
  false_ = make(Kind::boolean);
}

void PickleBuilder::damaged(std::string_view what) const {
  fail("{}: the pickle is damaged ({})", where_, what);
}

void PickleBuilder::refuse_call(std::string_view what) const {
  fail("{}: the pickle wants to call {}; refused", where_, one_line(what));
}

void PickleBuilder::charge(std::size_t steps) {
  if (steps > limits_.steps - steps_) fail("{}: the pickle holds more than {} values", where_, limits_.steps);
  steps_ += steps;
}

PickleValue* PickleBuilder::make(Kind kind) {
  charge(1);
  return &pickle_.values_.emplace_back(PickleValue::Key(), kind);
}

// A copy of the bytes that lives as long as the pickle's values.
std::string_view PickleBuilder::keep(std::string_view bytes) {
  if (bytes.empty()) return {};
  if (bytes.size() > limits_.bytes - text_bytes_)
    fail("{}: the pickle holds more than {} bytes of text", where_, limits_.bytes);
  text_bytes_ += bytes.size();
  auto& blocks = pickle_.texts_;
  if (blocks.empty() || blocks.back().capacity() - blocks.back().size() < bytes.size())
    blocks.emplace_back().reserve(std::max(text_block, bytes.size()));
  std::string& block = blocks.back();
  const std::size_t begin = block.size();
  block.append(bytes);
  return std::string_view(block).substr(begin);
}

PickleValue* PickleBuilder::integer(int64_t value) {
  PickleValue* made = make(Kind::integer);
  made->integer_ = value;
  return made;
}

PickleValue* PickleBuilder::real(double value) {
  PickleValue* made = make(Kind::real);
  made->real_ = value;
  return made;
}

PickleValue* PickleBuilder::long_integer(std::string_view bytes) {
  if (bytes.size() > largest_long) damaged("an integer of more than 1024 bytes");
  const bool negative = !bytes.empty() && (bytes.back() & 0x80) != 0;
  const char sign = negative ? '\xff' : '\0';
  while (bytes.size() > sizeof(int64_t) && bytes.back() == sign) bytes.remove_suffix(1);
  std::array<char, sizeof(int64_t)> low{};
  low.fill(sign);
  // A sign that is no longer shown by the highest bit needs a ninth byte: then it is no int64.
  const bool sign_lost = bytes.size() == low.size() && ((bytes.back() & 0x80) != 0) != negative;
  if (bytes.size() <= low.size() && !sign_lost) {
    std::copy(bytes.begin(), bytes.end(), low.begin());
    return integer(std::bit_cast<int64_t>(low));
  }
  double value = negative ? -1 : 0;
  for (std::size_t i = bytes.size(); i-- > 0;) value = value * 256 + static_cast<unsigned char>(bytes[i]);
  return real(value);
}

PickleValue* PickleBuilder::text(std::string_view utf8) {
  PickleValue* made = make(is_utf8(utf8) ? Kind::text : Kind::bytes);
  made->text_ = keep(utf8);
  return made;
}

PickleValue* PickleBuilder::bytes(std::string_view raw) {
  PickleValue* made = make(Kind::bytes);
  made->text_ = keep(raw);
  return made;
}

PickleValue* PickleBuilder::tuple(Items items) {
  PickleValue* made = make(Kind::tuple);
  made->items_.assign(items.begin(), items.end());
  return made;
}

PickleValue* PickleBuilder::global(std::string_view module, std::string_view name) {
  if (module.size() > largest_name || name.size() > largest_name) damaged("a name of more than 512 bytes");
  if (!is_utf8(module) || !is_utf8(name)) damaged("a name that is no text");
  PickleValue* made = make(Kind::record);
  made->text_ = keep(module);
  made->name_ = keep(name);
  return made;
}

void PickleBuilder::append(PickleValue& target, const PickleValue& item) {
  const bool takes_items = target.kind_ == Kind::list || target.kind_ == Kind::set || target.is_record();
  if (!takes_items) damaged("something is appended to " + target.describe());
  if (is_named(target)) fail("{}: the pickle wants to change {}; refused", where_, target.describe());
  charge(1);
  target.items_.push_back(&item);
}

void PickleBuilder::set_item(PickleValue& target, const PickleValue& key, const PickleValue& value) {
  if (!target.is_dict() && !target.is_record()) damaged("a key is set in " + target.describe());
  if (is_named(target)) fail("{}: the pickle wants to change {}; refused", where_, target.describe());
  charge(2);
  target.entries_.push_back({&key, &value});
}

void PickleBuilder::set_state(PickleValue& target, const PickleValue& state) {
  if (is_named(target)) fail("{}: the pickle wants to change {}; refused", where_, target.describe());
  if (target.is_record()) {
    target.state_ = &state;
    return;
  }
  // Python objects that are values here may have attributes: OrderedDict's _metadata, a parameter's flags.
  const bool may_have = target.is_dict() || target.kind_ == Kind::list || target.kind_ == Kind::set ||
                        target.kind_ == Kind::tuple || target.is_tensor();
  if (!may_have) damaged("a state is set on " + target.describe());
}

const std::unordered_map<std::string_view, PickleBuilder::Maker>& PickleBuilder::makers() {
  static const std::unordered_map<std::string_view, Maker> known = {
      {"collections.OrderedDict", &PickleBuilder::make_dict},
      {"collections.Counter", &PickleBuilder::make_dict},
      {"collections.defaultdict", &PickleBuilder::make_default_dict},
      {"collections.deque", &PickleBuilder::make_list},
      {"builtins.dict", &PickleBuilder::make_dict},
      {"builtins.list", &PickleBuilder::make_list},
      {"builtins.tuple", &PickleBuilder::make_tuple},
      {"builtins.set", &PickleBuilder::make_set},
      {"builtins.frozenset", &PickleBuilder::make_set},
      {"builtins.bytes", &PickleBuilder::make_bytes},
      {"builtins.bytearray", &PickleBuilder::make_bytes},
      {"builtins.getattr", &PickleBuilder::make_attribute},
      {"builtins.type", &PickleBuilder::make_type},
      {"operator.getitem", &PickleBuilder::make_generic},
      {"functools.reduce", &PickleBuilder::make_union},
      {"_codecs.encode", &PickleBuilder::make_bytes},
      {"copyreg._reconstructor", &PickleBuilder::make_reconstructed},
      {"copyreg.__newobj__", &PickleBuilder::make_new_object},
      {"numpy._core.multiarray.scalar", &PickleBuilder::make_numpy_scalar},
      {"torch.Size", &PickleBuilder::make_tuple},
      {"torch._utils._rebuild_tensor", &PickleBuilder::make_tensor},
      {"torch._utils._rebuild_tensor_v2", &PickleBuilder::make_tensor},
      {"torch._utils._rebuild_tensor_v3", &PickleBuilder::make_tensor_v3},
      {"torch._utils._rebuild_parameter", &PickleBuilder::make_parameter},
      {"torch._utils._rebuild_parameter_with_state", &PickleBuilder::make_parameter},
      {"torch._tensor._rebuild_from_type_v2", &PickleBuilder::make_tensor_subclass},
  };
  return known;
}

// Classes are told by their names: a call of what is not named as one is a call of a function.
bool PickleBuilder::may_be_class(const PickleValue& type, bool instance) const {
  const std::string full = canonical_name(type.text_, type.name_);
  if (is_inert(full)) return true;
  if (is_dangerous_module(type.text_)) return false;
  if (begins_as_class(type.name_)) return true;
  return instance && !full.starts_with("builtins.");
}

PickleValue* PickleBuilder::call(const PickleValue& callee, const PickleValue& arguments, bool instance) {
  if (!callee.is_record()) damaged(callee.describe() + " is called");
  if (!is_named(callee)) refuse_call("what is " + callee.describe());
  if (arguments.kind_ != Kind::tuple) damaged("a call without a tuple of arguments");
  const auto maker = makers().find(canonical_name(callee.text_, callee.name_));
  if (maker != makers().end()) return (this->*maker->second)(arguments.items_);
  if (!may_be_class(callee, instance)) refuse_call(callee.class_name());
  return instance_of(callee, arguments);
}

PickleValue* PickleBuilder::instance_of(const PickleValue& type, const PickleValue& arguments) {
  PickleValue* made = make(Kind::record);
  made->text_ = type.text_;
  made->name_ = type.name_;
  made->arguments_ = &arguments;
  return made;
}

const PickleValue& PickleBuilder::argument(Items arguments, std::size_t index) const {
  if (index >= arguments.size()) damaged("a call with too few arguments");
  return *arguments[index];
}

// A container with the items of the first argument, if there is one.
PickleValue* PickleBuilder::filled(Kind kind, Items arguments) {
  PickleValue* made = make(kind);
  if (arguments.empty()) return made;
  const Items items = arguments[0]->items();
  charge(items.size());
  made->items_.assign(items.begin(), items.end());
  return made;
}

PickleValue* PickleBuilder::make_dict(Items arguments) {
  PickleValue* made = dict();
  if (arguments.empty()) return made;
  const PickleValue& from = *arguments[0];
  charge(2 * from.entries().size());
  made->entries_.assign(from.entries().begin(), from.entries().end());
  for (const PickleValue* pair : from.items()) {
    if (pair->items().size() != 2) damaged("a dict is made of what are no pairs");
    set_item(*made, *pair->items()[0], *pair->items()[1]);
  }
  return made;
}

PickleValue* PickleBuilder::make_default_dict(Items arguments) {
  return make_dict(arguments.empty() ? arguments : arguments.subspan(1));
}

// bytes(), bytes(x), bytearray(x), bytearray(text, "latin-1"), and _codecs.encode(text, "latin1"), which is
// how Python 3 writes bytes for Python 2.
PickleValue* PickleBuilder::make_bytes(Items arguments) {
  if (arguments.empty()) return bytes({});
  const PickleValue& from = *arguments[0];
  if (from.kind_ == Kind::bytes) return own(from);
  std::string encoded;
  const bool named =
      arguments.size() > 1 && (arguments[1]->raw() == "latin1" || arguments[1]->raw() == "latin-1");
  if (!from.is_text() || !named || !latin1(from.raw(), encoded))
    damaged("bytes are made of " + from.describe());
  return bytes(encoded);
}

// getattr(Class, "member") is how some versions of Python write members of enums: nothing is looked up here.
PickleValue* PickleBuilder::make_attribute(Items arguments) {
  const bool member = arguments.size() == 2 && is_named(*arguments[0]) && arguments[1]->is_text() &&
                      !arguments[1]->raw().starts_with("__") && may_be_class(*arguments[0], false);
  if (!member) refuse_call("builtins.getattr");
  return instance_of(*arguments[0], *tuple(arguments.subspan(1)));
}

// type(None): the class of nothing. With more arguments it would make a class.
PickleValue* PickleBuilder::make_type(Items arguments) {
  if (arguments.size() != 1) refuse_call("builtins.type");
  return instance_of(*global("builtins", "type"), *tuple(arguments));
}

// operator.getitem(typing.List, int): a type expression, which omegaconf's containers carry along.
PickleValue* PickleBuilder::make_generic(Items arguments) {
  const bool generic = arguments.size() == 2 && is_named(*arguments[0]) && may_be_class(*arguments[0], false);
  if (!generic) refuse_call("operator.getitem");
  return instance_of(*arguments[0], *tuple(arguments.subspan(1)));
}

// functools.reduce(operator.or_, (int, str)): the type expression int | str.
PickleValue* PickleBuilder::make_union(Items arguments) {
  const bool types = arguments.size() == 2 && is_named(*arguments[0]) &&
                     canonical_name(arguments[0]->text_, arguments[0]->name_) == "operator.or_";
  if (!types) refuse_call("functools.reduce");
  return instance_of(*global("typing", "Union"), *tuple(arguments.subspan(1)));
}

// copyreg._reconstructor(class, base, state): objects of protocols 0 and 1.
PickleValue* PickleBuilder::make_reconstructed(Items arguments) {
  const PickleValue& type = argument(arguments, 0);
  if (!is_named(type)) damaged("an object of no class");
  const PickleValue& content = argument(arguments, 2);
  charge(arguments.size());
  PickleValue* made = call(type, *tuple({}), true);
  if (!made->is_record()) return made;
  charge(content.items().size() + 2 * content.entries().size());
  made->items_.assign(content.items().begin(), content.items().end());
  made->entries_.assign(content.entries().begin(), content.entries().end());
  return made;
}

PickleValue* PickleBuilder::make_new_object(Items arguments) {
  const PickleValue& type = argument(arguments, 0);
  charge(arguments.size());
  if (nested_calls_ >= deepest_call) damaged("calls within calls");
  ++nested_calls_;
  PickleValue* made = call(type, *tuple(arguments.subspan(1)), true);
  --nested_calls_;
  return made;
}

// numpy.float64 and the like, of a dtype record ("f8") with the state (3, "<", ...), and the value's bytes.
PickleValue* PickleBuilder::make_numpy_scalar(Items arguments) {
  const PickleValue& dtype = argument(arguments, 0);
  const std::string_view raw = argument(arguments, 1).raw();
  std::string code;
  if (dtype.is_record() && dtype.arguments() != nullptr && !dtype.arguments()->items().empty())
    code = dtype.arguments()->items()[0]->raw();
  const bool swapped = dtype.state() != nullptr && dtype.state()->items().size() > 1 &&
                       dtype.state()->items()[1]->raw() == ">";
  if (!swapped && code == "f8" && raw.size() == 8) return real(little_endian<double>(raw));
  if (!swapped && code == "f4" && raw.size() == 4) return real(little_endian<float>(raw));
  if (!swapped && code == "f2" && raw.size() == 2) return real(f32_from_f16(little_endian<uint16_t>(raw)));
  if (code == "b1" && raw.size() == 1) return boolean(raw[0] != 0);
  if (!swapped && (code == "i8" || code == "i4" || code == "i2" || code == "i1") && raw.size() <= 8)
    return long_integer(raw);
  if (!swapped && (code == "u8" || code == "u4" || code == "u2" || code == "u1") && raw.size() <= 8)
    return long_integer(std::string(raw) + '\0');
  return instance_of(*global("numpy", "generic"), *tuple(arguments.first(2)));
}

int64_t PickleBuilder::count_of(const PickleValue& value) const {
  if (value.kind_ != Kind::integer || value.integer_ < 0) damaged("a tensor's sizes are no counts");
  return value.integer_;
}

std::vector<int64_t> PickleBuilder::sizes(const PickleValue& value) const {
  if (value.kind_ != Kind::tuple && value.kind_ != Kind::list) damaged("a tensor without sizes");
  if (value.items_.size() > largest_rank) damaged("a tensor of more than 32 dimensions");
  std::vector<int64_t> counts;
  for (const PickleValue* item : value.items_) counts.push_back(count_of(*item));
  return counts;
}

const PickleBuilder::Storage& PickleBuilder::storage(const PickleValue& value) const {
  const auto found = storages_.find(&value);
  if (found == storages_.end()) damaged("a tensor without a storage");
  return found->second;
}

PickleValue* PickleBuilder::tensor(const Storage& from, std::string_view dtype, Items arguments) {
  auto tensor = std::make_unique<TorchTensor>();
  tensor->dtype = dtype;
  tensor->storage = from.key;
  const int64_t offset = count_of(argument(arguments, 1));
  tensor->shape = sizes(argument(arguments, 2));
  tensor->stride = sizes(argument(arguments, 3));
  charge(tensor_steps + 2 * tensor->shape.size());
  if (tensor->shape.size() != tensor->stride.size())
    damaged("a tensor with more sizes than strides or fewer");
  if (__builtin_add_overflow(offset, from.first, &tensor->offset)) damaged("a tensor beyond every storage");
  PickleValue* made = make(Kind::tensor);
  made->tensor_ = std::move(tensor);
  return made;
}

PickleValue* PickleBuilder::make_tensor(Items arguments) {
  const Storage& from = storage(argument(arguments, 0));
  return tensor(from, from.dtype, arguments);
}

// Types without a storage class of their own: an untyped storage and a dtype.
PickleValue* PickleBuilder::make_tensor_v3(Items arguments) {
  const Storage& from = storage(argument(arguments, 0));
  const PickleValue& type = argument(arguments, 6);
  const ElementType* element = is_named(type) && type.text_ == "torch" ? torch_dtype(type.name_) : nullptr;
  if (element == nullptr) fail("{}: a tensor of {} is not supported", where_, type.describe());
  if (from.first != 0) damaged("a view of an untyped storage");
  return tensor(from, element->dtype, arguments);
}

PickleValue* PickleBuilder::make_parameter(Items arguments) {
  return own(argument(arguments, 0));
}

// (function, class, arguments, state): the tensor that the function rebuilds, without its class.
PickleValue* PickleBuilder::make_tensor_subclass(Items arguments) {
  if (nested_calls_ >= deepest_call) damaged("calls within calls");
  ++nested_calls_;
  PickleValue* made = call(argument(arguments, 0), argument(arguments, 2), false);
  --nested_calls_;
  return made;
}

// ("storage", class, key, device, elements), in old files with None or (view's key, offset, elements) behind
// it.
PickleValue* PickleBuilder::persistent(const PickleValue& id) {
  const Items parts = id.items();
  if (parts.size() >= 2 && parts[0]->raw() == "module") return own(*parts[1]);
  if (parts.size() < 5 || parts[0]->raw() != "storage" || !is_named(*parts[1]) || parts[2]->raw().empty() ||
      parts[2]->raw().size() > largest_name)
    damaged("a reference to outside that names no storage");
  const ElementType* type = storage_type(parts[1]->text_, parts[1]->name_);
  if (type == nullptr) fail("{}: storages of {} are not supported", where_, parts[1]->describe());

  Storage storage{std::string(parts[2]->raw()), std::string(type->dtype), 0};
  const int64_t count = count_of(*parts[4]);
  int64_t bytes = 0;
  if (__builtin_mul_overflow(count, static_cast<int64_t>(type->bytes), &bytes))
    damaged("a storage larger than every file");
  const auto [known, is_new] = pickle_.storages_.try_emplace(storage.key, TorchStorage{count, type->bytes});
  if (!is_new && known->second.bytes() != static_cast<uint64_t>(bytes))
    fail("{}: storage {} has two sizes, {} and {} bytes", where_, one_line(storage.key),
         known->second.bytes(), bytes);
  if (parts.size() > 5 && !parts[5]->items().empty())
    storage.first = count_of(argument(parts[5]->items(), 1));
  charge(tensor_steps);
  PickleValue* made = instance_of(*parts[1], id);
  storages_.emplace(made, std::move(storage));
  return made;
}

}  // namespace retort
