// A model as an ONNX graph that was run before anybody else has to.
#pragma once

#include "export/export.h"

namespace retort {

// What run_export() does of --to onnx. The output is a folder: model.onnx, check.json with what was compared
// and how near it was, and test_data_set_<i> with inputs and what the graph makes of them, as ONNX models
// usually come.
void export_to_onnx(const ExportOptions& options);

// Holds options.verify, such a folder or file, against the model again.
void verify_onnx(const ExportOptions& options);

}  // namespace retort
