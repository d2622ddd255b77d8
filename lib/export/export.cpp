#include "export/export.h"

#include <cmath>
#include <filesystem>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "encoder/frame_encoder.h"
#include "export/check_audio.h"
#include "export/hf_export.h"
#include "export/onnx_export.h"
#include "export/output_difference.h"
#include "model/checkpoint.h"
#include "model/fairseq_writer.h"
#include "model/model_folder.h"
#include "model/s3prl_writer.h"
#include "store/half.h"
#include "store/torch_file.h"

namespace retort {
namespace {

// Most that exported features may be away from the model's own, as a share of their RMS. Weights of f32 are
// the same bytes; rounding weights to 11 significant bits moves features by about a thousandth.
constexpr double f32_tolerance = 1e-6;
constexpr double f16_tolerance = 2e-2;
constexpr double longest_checked = 2.5;  // seconds

// A form that is one file.
struct CheckpointForm {
  const char* name;
  void (*check)(const ModelWeights&, const std::string& where);  // an Error if it cannot hold the model
  ModelWeights (*as_held)(ModelWeights);                         // what reading it back gives
  std::string (*format)(const ModelConfig&);                     // as whoever reads it calls it
  void (*write)(const std::filesystem::path&, const ModelWeights&);
};

constexpr CheckpointForm checkpoint_forms[] = {
    {"fairseq",
     [](const ModelWeights& model, const std::string& where) { check_fairseq_can_hold(model, where); },
     as_fairseq_holds, [](const ModelConfig&) { return std::string("fairseq"); }, write_fairseq_checkpoint},
    {"s3prl", check_s3prl_can_hold, as_s3prl_holds, s3prl_format, write_s3prl_checkpoint}};

// Null where the form is a folder, or none.
const CheckpointForm* checkpoint_form(const std::string& name) {
  for (const CheckpointForm& form : checkpoint_forms)
    if (form.name == name) return &form;
  return nullptr;
}

// What reading the export back will say of normalisation: each form has a word for one kind of it.
std::string exported_wave_norm(const std::string& wave_norm, const std::string& kind) {
  return wave_norm == "none" ? "none" : kind;
}

void round_to_f16(ModelWeights& model) {
  for (auto& [name, tensor] : model.tensors) {
    for (float& value : tensor.values) {
      const float rounded = f32_from_f16(f16_from_f32(value));
      if (std::isinf(rounded)) fail("tensor {}: {} is beyond f16; export as f32", name, value);
      value = rounded;
    }
  }
}

// The model as the folder will give it back: without the heads that training added, but for those that
// predict a teacher's layers where they are to stay, and with values as the file's type holds them.
ModelWeights as_hf_holds(const ExportOptions& options) {
  ModelWeights model = read_model(options.model);
  if (options.heads && model.config.prediction.kind == PredictionHeads::Kind::none)
    fail("{}: it has no prediction heads to keep; leave --heads out", options.model);
  model.config.final_dim = 0;
  model.config.classes = 0;
  if (!options.heads) model.config.prediction = {};
  keep_listed_tensors(model);
  check_hf_can_hold(model.config, options.model);
  if (options.dtype == "f16") round_to_f16(model);
  model.config.wave_norm = exported_wave_norm(model.config.wave_norm, "zscore-hf");
  return model;
}

// The same of a file.
ModelWeights as_file_holds(const ExportOptions& options, const CheckpointForm& form) {
  ModelWeights model = read_model(options.model);
  form.check(model, options.model);
  model = form.as_held(std::move(model));
  model.config.wave_norm = exported_wave_norm(model.config.wave_norm, "zscore");
  return model;
}

// Of a waveform that is taken as it is, since the two forms may normalise differently.
Matrix final_features(const std::string& model, const std::vector<float>& waveform, int threads) {
  EncoderOptions options;
  options.model = model;
  options.layers = "final";
  options.wave_norm = "none";
  options.force = true;
  options.threads = threads;
  return make_frame_encoder(options)->encode({waveform}).front().front();
}

void verify_features(const ExportOptions& options, const std::filesystem::path& written) {
  const std::vector<float> waveform = check_audio({}, 0).up_to(longest_checked).back();
  OutputDifference difference;
  difference.add(final_features(written.string(), waveform, options.threads),
                 final_features(options.model, waveform, options.threads));
  const double distance = difference.relative();
  const double tolerance = options.dtype == "f32" ? f32_tolerance : f16_tolerance;
  if (!(distance <= tolerance)) {
    fail(
        "{}: features of the exported model are {:.2g} of their RMS away from the model's own, at most "
        "{:.2g} is allowed",
        options.output, distance, tolerance);
  }
  log_info("export", "features of a synthetic waveform: at most {:.2g} of their RMS away", distance);
}

void verify(const ExportOptions& options, const ModelWeights& expected,
            const std::filesystem::path& written) {
  const std::string differs = model_difference(open_model(written), source_of(expected));
  if (!differs.empty()) fail("{}: what was written reads back differently: {}", options.output, differs);
  verify_features(options, written);
}

void log_done(const ExportOptions& options, const ModelWeights& model) {
  log_info("export", "{}: {} tensors as {}, model {}", options.output, model.tensors.size(), options.dtype,
           model.hash());
}

void log_nothing_to_do(const ExportOptions& options) {
  log_info("export", "{} is there already: nothing to do", options.output);
}

void export_to_hf(const ExportOptions& options) {
  const ModelWeights model = as_hf_holds(options);
  if (holds_model(options.output, source_of(model), options.overwrite)) return log_nothing_to_do(options);
  make_model_folder(options.output, [&](const std::filesystem::path& folder) {
    write_hf_model(folder, source_of(model), options.dtype);
    if (needs_modelling_file(model.config)) add_modelling_file(folder, model.config);
    verify(options, model, folder);
  });
  log_done(options, model);
}

// True where the checkpoint at the output is this very model in this very form.
bool holds_checkpoint(const ExportOptions& options, const CheckpointForm& form, const ModelWeights& model) {
  if (options.output == "-" || !std::filesystem::path(options.output).has_filename())
    fail_usage("-o {}: {}'s form is a checkpoint file; name one, as in model.pt", options.output, options.to);
  if (!std::filesystem::exists(options.output)) return false;
  if (!is_torch_file(options.output))
    fail("{}: it exists and is no checkpoint; name another output", options.output);
  if (options.overwrite) return false;
  const ModelSource there = open_model(options.output);
  const auto format = there.provenance.at("imported").at("format").get<std::string>();
  if (format != form.format(model.config))
    fail("{}: it exists and is in another form ({}); --overwrite replaces it", options.output, format);
  const std::string differs = model_difference(there, source_of(model));
  if (!differs.empty())
    fail("{}: it exists and is another model ({}); --overwrite replaces it", options.output, differs);
  return true;
}

// The file is made beside its place, and put there once it was read back.
void export_to_file(const ExportOptions& options, const CheckpointForm& form) {
  const ModelWeights model = as_file_holds(options, form);
  if (holds_checkpoint(options, form, model)) return log_nothing_to_do(options);
  const std::filesystem::path unverified = options.output + ".unverified";
  try {
    form.write(unverified, model);
    verify(options, model, unverified);
  } catch (...) {
    std::error_code ignored;
    std::filesystem::remove(unverified, ignored);
    throw;
  }
  std::filesystem::rename(unverified, options.output);
  log_done(options, model);
}

void run_onnx_export(const ExportOptions& options) {
#ifdef RETORT_WITH_ONNX
  options.verify.empty() ? export_to_onnx(options) : verify_onnx(options);
#else
  fail_usage("--to {}: this build has no ONNX; configure it with -DRETORT_ONNX=ON", options.to);
#endif
}

void refuse_onnx_options(const ExportOptions& options) {
  const ExportOptions none;
  const char* given = !options.layers.empty()       ? "--layers"
                      : !options.codebook.empty()   ? "--codebook"
                      : options.opset != none.opset ? "--opset"
                      : options.lengths             ? "--lengths"
                      : !options.license.empty()    ? "--license"
                      : !options.audio.empty()      ? "--audio"
                      : !options.verify.empty()     ? "--verify"
                                                    : nullptr;
  if (given != nullptr) fail_usage("{}: goes with --to onnx", given);
}

}  // namespace

void run_export(const ExportOptions& options) {
  if (options.heads && options.to != "hf") fail_usage("--heads: goes with --to hf");
  if (options.to == "onnx") return run_onnx_export(options);
  const CheckpointForm* form = checkpoint_form(options.to);
  if (options.to != "hf" && form == nullptr)
    fail_usage("--to {}: should be hf, fairseq, s3prl or onnx", options.to);
  refuse_onnx_options(options);
  if (options.dtype == "int8") fail_usage("--dtype int8: goes with --to onnx");
  if (form != nullptr && options.dtype != "f32")
    fail_usage("--dtype {}: {}'s checkpoints are f32", options.dtype, options.to);
  form != nullptr ? export_to_file(options, *form) : export_to_hf(options);
}

}  // namespace retort
