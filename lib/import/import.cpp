#include "import/import.h"

#include <filesystem>

#include "base/error.h"
#include "base/log.h"
#include "model/checkpoint.h"
#include "model/model_folder.h"
#include "model/tensors.h"

namespace retort {
namespace {

ModelWeights read_input(const ImportOptions& options) {
  if (options.config.empty()) return read_model(options.checkpoint);
  if (std::filesystem::is_directory(options.checkpoint))
    fail_usage("--config {}: {} is a folder, which has a config.json of its own", options.config,
               options.checkpoint);
  return read_checkpoint(options.checkpoint, options.config);
}

}  // namespace

void run_import(const ImportOptions& options) {
  const ModelWeights model = read_input(options);
  if (holds_model(options.output, model, options.overwrite)) {
    log_info("import", "{} is there already: nothing to do", options.output);
    return;
  }
  make_model_folder(options.output,
                    [&model](const std::filesystem::path& folder) { write_model(folder, model); });
  log_info("import", "{}: {} with {} parameters, model {}", options.output, model.config.type,
           count_parameters(model.config).total, model.hash());
}

}  // namespace retort
