"""extract_peers.py SUBJECT MODEL THREADS RUNS SECONDS,...: what bench_encode times, by other software. Prints JSON.

SUBJECT: transformers, transformers-bf16, torchaudio, onnxruntime, onnxruntime-int8, openvino. MODEL is a Hugging Face folder of a
HuBERT (torchaudio takes its weights). The clips form one padded batch. onnxruntime and openvino take what torch.onnx exports of
transformers' model; int8 is onnxruntime's dynamic quantisation of products.
"""

import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import torch

RATE = 16000


def read_model(folder):
    from transformers import HubertModel
    return HubertModel.from_pretrained(folder, dtype=torch.float32).eval()


class Hidden(torch.nn.Module):
    """A model whose output is the last hidden states alone."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, batch):
        return self.model(batch).last_hidden_state


def export_onnx(folder, path, batch):
    torch.onnx.export(Hidden(read_model(folder)), (batch[:, :RATE],), str(path), input_names=["wave"], output_names=["states"],
                      dynamic_axes={"wave": {0: "batch", 1: "samples"}, "states": {0: "batch", 1: "frames"}}, opset_version=17,
                      dynamo=False)
    return path


def with_transformers(folder, batch, threads, scratch, bf16=False):
    model = read_model(folder)
    if bf16:
        model, batch = model.to(torch.bfloat16), batch.to(torch.bfloat16)
    return lambda: model(batch)


def with_torchaudio(folder, batch, threads, scratch):
    from torchaudio.models.wav2vec2.utils import import_huggingface_model
    model = import_huggingface_model(read_model(folder)).eval()
    return lambda: model.extract_features(batch)


def with_onnxruntime(folder, batch, threads, scratch, int8=False):
    import onnxruntime
    path = export_onnx(folder, scratch / "model.onnx", batch)
    if int8:
        from onnxruntime.quantization import QuantType, quant_pre_process, quantize_dynamic
        quant_pre_process(str(path), str(scratch / "prepared.onnx"), skip_symbolic_shape=True)
        path = scratch / "int8.onnx"
        quantize_dynamic(str(scratch / "prepared.onnx"), str(path), op_types_to_quantize=["MatMul", "Gemm"], per_channel=True,
                         weight_type=QuantType.QInt8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    wave = batch.numpy()
    return lambda: session.run(None, {"wave": wave})


def with_openvino(folder, batch, threads, scratch):
    import openvino
    model = openvino.convert_model(str(export_onnx(folder, scratch / "model.onnx", batch)))
    # Of itself it computes in bf16 where the CPU has it.
    compiled = openvino.compile_model(model, "CPU", {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"})
    wave = batch.numpy()
    return lambda: compiled([wave])


def with_openvino_bf16(folder, batch, threads, scratch):
    import openvino
    model = openvino.convert_model(str(export_onnx(folder, scratch / "model.onnx", batch)))
    compiled = openvino.compile_model(model, "CPU", {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "bf16"})
    wave = batch.numpy()
    return lambda: compiled([wave])


SUBJECTS = {
    "transformers": with_transformers,
    "transformers-bf16": lambda *arguments: with_transformers(*arguments, bf16=True),
    "torchaudio": with_torchaudio,
    "onnxruntime": with_onnxruntime,
    "onnxruntime-int8": lambda *arguments: with_onnxruntime(*arguments, int8=True),
    "openvino": with_openvino,
    "openvino-bf16": with_openvino_bf16,
}


def main():
    subject, folder, threads, runs = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    seconds = [float(length) for length in sys.argv[5].split(",")]
    torch.set_num_threads(threads)
    torch.manual_seed(7)
    batch = torch.zeros(len(seconds), int(max(seconds) * RATE))
    for clip, length in zip(batch, seconds):
        clip[:int(length * RATE)] = 0.1 * torch.randn(int(length * RATE))

    with tempfile.TemporaryDirectory() as scratch, torch.inference_mode():
        forward = SUBJECTS[subject](folder, batch, threads, Path(scratch))

        def timed():
            begun, cpu_begun = time.perf_counter(), time.process_time()
            forward()
            return time.perf_counter() - begun, time.process_time() - cpu_begun

        timed()
        times = sorted(timed() for _ in range(runs))
    wall, cpu = times[len(times) // 2]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"seconds": wall, "fastest": times[0][0], "slowest": times[-1][0], "cpu_seconds": cpu, "peak_mib": peak}))


if __name__ == "__main__":
    main()
