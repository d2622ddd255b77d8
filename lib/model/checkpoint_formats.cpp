#include "model/checkpoint_formats.h"

#include "base/log.h"
#include "base/scanner.h"
#include "model/tensor_sources.h"

namespace retort {
namespace {

// data2vec keeps a second, averaged model in a dict of its own among the tensors of the first.
constexpr const char* moving_average = "_ema";

// Reads the list expressions that conv stacks are written as; nothing else of Python.
class ConvLayersParser {
 public:
  ConvLayersParser(const std::string& text, const std::string& where)
      : text_(text), where_(where), scanner_(text, " ") {}

  std::vector<ConvLayerShape> parse() {
    std::vector<ConvLayerShape> layers;
    do {
      const std::vector<ConvLayerShape> term = product();
      layers.insert(layers.end(), term.begin(), term.end());
    } while (scanner_.accept('+'));
    if (scanner_.peek() != '\0' || layers.size() > most_layers) wrong();
    return layers;
  }

 private:
  static constexpr std::size_t most_layers = 64;

  [[noreturn]] void wrong() const { fail("{}: the conv stack {} cannot be understood", where_, text_); }

  void expect(char wanted) {
    if (!scanner_.accept(wanted)) wrong();
  }
  int number() {
    int value = 0;
    if (!scanner_.accept_number(value) || value <= 0) wrong();
    return value;
  }
  ConvLayerShape layer() {
    const char close = scanner_.peek() == '[' ? ']' : ')';
    expect(close == ']' ? '[' : '(');
    ConvLayerShape shape;
    shape.channels = number();
    expect(',');
    shape.kernel = number();
    expect(',');
    shape.stride = number();
    scanner_.accept(',');
    expect(close);
    return shape;
  }
  std::vector<ConvLayerShape> list() {
    std::vector<ConvLayerShape> layers;
    expect('[');
    while (!scanner_.accept(']')) {
      layers.push_back(layer());
      if (!scanner_.accept(',') && scanner_.peek() != ']') wrong();
    }
    return layers;
  }
  std::vector<ConvLayerShape> product() {
    const std::vector<ConvLayerShape> once = list();
    if (!scanner_.accept('*')) return once;
    const int times = number();
    if (static_cast<std::size_t>(times) > most_layers) wrong();
    std::vector<ConvLayerShape> layers;
    for (int i = 0; i < times; ++i) layers.insert(layers.end(), once.begin(), once.end());
    return layers;
  }

  const std::string& text_;
  const std::string& where_;
  Scanner scanner_;
};

}  // namespace

std::vector<ConvLayerShape> parse_conv_layers(const std::string& text, const std::string& where) {
  return ConvLayersParser(text, where).parse();
}

const PickleValue& Checkpoint::member(const char* key) const {
  return root().at(key, where);
}

Renaming::Renaming(const Checkpoint& checkpoint, const PickleValue& state_dict)
    : checkpoint_(checkpoint),
      tensors_(torch_tensors(checkpoint.file, state_dict, checkpoint.where, {moving_average})) {
  if (state_dict.find(moving_average) != nullptr) dropped_.emplace_back(moving_average);
}

bool Renaming::has_any(std::string_view prefix) const {
  const auto first = tensors_.lower_bound(std::string(prefix));
  return first != tensors_.end() && first->first.starts_with(prefix);
}

void Renaming::keep_below(std::string_view prefix) {
  TensorSource kept;
  for (auto& [name, tensor] : tensors_) {
    if (name.starts_with(prefix))
      kept[name.substr(prefix.size())] = std::move(tensor);
    else
      dropped_.push_back(name);
  }
  tensors_ = std::move(kept);
}

void Renaming::drop(const std::string& name) {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) return;
  dropped_.push_back(found->first);
  tensors_.erase(found);
}

void Renaming::drop_all(std::string_view prefix) {
  while (has_any(prefix)) drop(tensors_.lower_bound(std::string(prefix))->first);
}

void Renaming::rename_all(const std::function<std::string(const std::string&)>& rename) {
  TensorSource renamed;
  for (auto& [name, tensor] : tensors_) {
    const std::string canonical = rename(name);
    if (!renamed.emplace(canonical, std::move(tensor)).second)
      fail("{}: two tensors are {}", checkpoint_.where, canonical);
  }
  tensors_ = std::move(renamed);
}

void Renaming::change(const std::string& name, std::vector<int64_t> shape,
                      std::function<std::vector<float>(std::vector<float>)> values) {
  SourceTensor& tensor = tensors_.at(name);
  tensor.shape = std::move(shape);
  tensor.read = [read = std::move(tensor.read), values = std::move(values)] { return values(read()); };
}

void Renaming::add(const std::string& name, SourceTensor tensor) {
  if (!tensors_.emplace(name, std::move(tensor)).second)
    fail("{}: two tensors are {}", checkpoint_.where, name);
}

ModelSource Renaming::assemble(ModelConfig config, const std::string& format, Json details) const {
  ModelSource model = checked_source(std::move(config), tensors_, checkpoint_.where);
  details["format"] = format;
  details["file"] = std::filesystem::path(checkpoint_.where).filename().string();
  if (!dropped_.empty()) {
    log_info("model", "{}: left out {} tensors that are not the encoder's, such as {}", checkpoint_.where,
             dropped_.size(), dropped_.front());
    details["dropped"] = dropped_;
  }
  model.provenance["imported"] = std::move(details);
  return model;
}

}  // namespace retort
