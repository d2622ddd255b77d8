#include "export/export.h"

#include <cmath>
#include <filesystem>
#include <set>

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
#include "model/tensors.h"
#include "store/half.h"
#include "store/torch_file.h"

namespace retort {
namespace {

// Most that exported features may be away from the model's own, as a share of their RMS. Weights of f32 are
// the same bytes; rounding weights to 11 significant bits moves features by about a thousandth.
constexpr double f32_tolerance = 1e-6;
constexpr double f16_tolerance = 2e-2;
constexpr double longest_checked = 2.5;  // seconds

// Takes off the heads that training added, but for those that predict a teacher's layers where they are to
// stay.
void drop_heads(bool keep_predictions, ModelWeights& model) {
  const std::vector<TensorSpec> all = model_tensors(model.config);
  model.config.final_dim = 0;
  model.config.classes = 0;
  if (!keep_predictions) model.config.prediction = {};
  std::set<std::string> kept;
  for (const TensorSpec& spec : model_tensors(model.config)) kept.insert(spec.name);
  for (const TensorSpec& spec : all)
    if (!kept.contains(spec.name)) model.tensors.erase(spec.name);
}

// The model as it will be read back: without heads, values as the file's type holds them.
ModelWeights exported_weights(const ExportOptions& options) {
  ModelWeights model = read_model(options.model);
  if (options.heads && model.config.prediction.kind == PredictionHeads::Kind::none)
    fail("{}: it has no prediction heads to keep; leave --heads out", options.model);
  drop_heads(options.heads, model);
  if (options.dtype == "f32") return model;
  for (auto& [name, tensor] : model.tensors) {
    for (float& value : tensor.values) {
      const float rounded = f32_from_f16(f16_from_f32(value));
      if (std::isinf(rounded)) fail("tensor {}: {} is beyond f16; export as f32", name, value);
      value = rounded;
    }
  }
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

void export_to_hf(const ExportOptions& options, const ModelWeights& model) {
  make_model_folder(options.output, [&](const std::filesystem::path& folder) {
    write_hf_model(folder, source_of(model), options.dtype);
    if (needs_modelling_file(model.config)) add_modelling_file(folder, model.config);
    verify(options, model, folder);
  });
}

// The file is made beside its place, and put there once it was read back.
void export_to_fairseq(const ExportOptions& options, const ModelWeights& model) {
  const std::filesystem::path unverified = options.output + ".unverified";
  try {
    write_fairseq_checkpoint(unverified, model);
    verify(options, model, unverified);
  } catch (...) {
    std::error_code ignored;
    std::filesystem::remove(unverified, ignored);
    throw;
  }
  std::filesystem::rename(unverified, options.output);
}

// True where the checkpoint at the output is this very model.
bool holds_checkpoint(const ExportOptions& options, const ModelWeights& model) {
  if (options.output == "-" || !std::filesystem::path(options.output).has_filename())
    fail_usage("-o {}: fairseq's form is a checkpoint file; name one, as in model.pt", options.output);
  if (!std::filesystem::exists(options.output)) return false;
  if (!is_torch_file(options.output))
    fail("{}: it exists and is no checkpoint; name another output", options.output);
  if (options.overwrite) return false;
  const std::string differs = model_difference(open_model(options.output), source_of(model));
  if (!differs.empty())
    fail("{}: it exists and is another model ({}); --overwrite replaces it", options.output, differs);
  return true;
}

// What reading the export back will say of normalisation: each form has a word for one kind of it.
std::string exported_wave_norm(const std::string& wave_norm, bool to_hf) {
  return wave_norm == "none" ? "none" : to_hf ? "zscore-hf" : "zscore";
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
  if (options.to == "onnx") {
    run_onnx_export(options);
    return;
  }
  if (options.to != "hf" && options.to != "fairseq")
    fail_usage("--to {}: should be hf, fairseq or onnx", options.to);
  refuse_onnx_options(options);
  if (options.dtype == "int8") fail_usage("--dtype int8: goes with --to onnx");
  const bool to_hf = options.to == "hf";
  if (!to_hf && options.dtype != "f32")
    fail_usage("--dtype {}: fairseq's checkpoints are f32", options.dtype);
  ModelWeights model = exported_weights(options);
  to_hf ? check_hf_can_hold(model.config, options.model)
        : check_fairseq_can_hold(model.config, options.model);
  model.config.wave_norm = exported_wave_norm(model.config.wave_norm, to_hf);
  if (to_hf ? holds_model(options.output, source_of(model), options.overwrite)
            : holds_checkpoint(options, model)) {
    log_info("export", "{} is there already: nothing to do", options.output);
    return;
  }
  to_hf ? export_to_hf(options, model) : export_to_fairseq(options, model);
  log_info("export", "{}: {} tensors as {}, model {}", options.output, model.tensors.size(), options.dtype,
           model.hash());
}

}  // namespace retort
