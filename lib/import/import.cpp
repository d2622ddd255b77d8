#include "import/import.h"

#include <filesystem>

#include "base/error.h"
#include "base/log.h"
#include "model/checkpoint.h"
#include "model/model_folder.h"
#include "model/tensors.h"

namespace retort {
namespace {

ModelSource open_input(const ImportOptions& options) {
  if (options.config.empty()) return open_model(options.checkpoint);
  if (std::filesystem::is_directory(options.checkpoint))
    fail_usage("--config {}: {} is a folder, which has a config.json of its own", options.config,
               options.checkpoint);
  return open_checkpoint(options.checkpoint, options.config);
}

}  // namespace

void run_import(const ImportOptions& options) {
  const ModelSource model = open_input(options);
  if (holds_model(options.output, model, options.overwrite)) {
    log_info("import", "{} is there already: nothing to do", options.output);
    return;
  }
  std::string hash;
  make_model_folder(options.output,
                    [&](const std::filesystem::path& folder) { hash = write_model(folder, model); });
  log_info("import", "{}: {} with {} parameters, model {}", options.output, model.config.type,
           count_parameters(model.config).total, hash);
}

}  // namespace retort
