"""oracle_exports.py FORM EXPORT WAV OUT.npy: loads an export with the package it is for, and writes its last layer.

FORM is hf (transformers, every key has to fit), fairseq (s3prl's copy of fairseq's modules, strict) or s3prl (its own upstream, as a
downstream task loads it). Needs torch and that package.
"""

import dataclasses
import importlib
import pathlib
import sys

import numpy as np
import torch


def samples_of(path):
    """Samples of a WAV file of one channel, in 16 bits or floats (which the module wave does not read)."""
    data = pathlib.Path(path).read_bytes()
    floats, at = None, 12
    while data[at:at + 4] != b"data":
        if data[at:at + 4] == b"fmt ":
            floats = data[at + 8:at + 10] == b"\3\0"
        at += 8 + int.from_bytes(data[at + 4:at + 8], "little")
    body = data[at + 8:at + 8 + int.from_bytes(data[at + 4:at + 8], "little")]
    return np.frombuffer(body, "<f4") if floats else np.frombuffer(body, "<i2").astype(np.float32) / 32768


def load_hf(folder):
    """The model, every key of which has to fit, and its feature extractor. Folders may carry the model's class."""
    from transformers import AutoFeatureExtractor, AutoModel
    model, info = AutoModel.from_pretrained(folder, output_loading_info=True, trust_remote_code=True, dtype=torch.float32)
    wrong = [key for key in ("missing_keys", "unexpected_keys", "mismatched_keys") if info[key]]
    assert not wrong, {key: info[key] for key in wrong}
    return model.eval(), AutoFeatureExtractor.from_pretrained(folder)


def last_layer_hf(folder, samples):
    model, extractor = load_hf(folder)
    batch = extractor(samples, sampling_rate=16000, return_tensors="pt").input_values
    return model(batch).last_hidden_state[0]


def last_layer_fairseq(path, samples):
    checkpoint = torch.load(path, weights_only=True)
    cfg = checkpoint["cfg"]
    batch = torch.from_numpy(samples)
    if cfg.get("task", cfg)["normalize"]:
        batch = torch.nn.functional.layer_norm(batch, batch.shape)
    if "relative_position_embedding" in cfg:
        from s3prl.upstream.wavlm.WavLM import WavLM, WavLMConfig
        model = WavLM(WavLMConfig(cfg))
        model.load_state_dict(checkpoint["model"])
        return model.eval().extract_features(batch[None])[0][0]
    model = fairseq_model(cfg)
    model.load_state_dict(checkpoint["model"])
    features = model.eval().extract_features(batch[None], padding_mask=None, mask=False)
    return (features["x"] if isinstance(features, dict) else features[0])[0]


def last_layer_s3prl(path, samples):
    """What downstream tasks get of s3prl's upstream for this file."""
    checkpoint = torch.load(path, weights_only=True)
    config = checkpoint.get("model_cfg") or {"_name": "distiller" if "Distiller" in checkpoint else "wavlm"}
    folder = {"data2vec_audio": "data2vec"}.get(config["_name"], config["_name"])
    upstream = importlib.import_module(f"s3prl.upstream.{folder}.expert").UpstreamExpert(str(path)).eval()
    return upstream([torch.from_numpy(samples)])["last_hidden_state"][0]


def taken(config_class, values):
    """The config with those values that it has fields for, which fairseq's own classes have more of."""
    fields = {field.name for field in dataclasses.fields(config_class)}
    return config_class(**{key: value for key, value in values.items() if key in fields})


def fairseq_model(cfg):
    name = cfg["model"]["_name"]
    if name == "hubert":
        from s3prl.upstream.hubert.hubert_model import HubertConfig, HubertModel, HubertPretrainingConfig
        model = taken(HubertConfig, cfg["model"])
        return HubertModel(model, taken(HubertPretrainingConfig, cfg["task"]), [])
    if name == "wav2vec2":
        from s3prl.upstream.wav2vec2.wav2vec2_model import Wav2Vec2Config, Wav2Vec2Model
        return Wav2Vec2Model(taken(Wav2Vec2Config, cfg["model"]))
    raise ValueError(f"{name} is not tried here: its class wants a head that stays behind")


def main():
    form, export, wav, out = sys.argv[1:]
    with torch.no_grad():
        values = {"hf": last_layer_hf, "fairseq": last_layer_fairseq, "s3prl": last_layer_s3prl}[form](export, samples_of(wav))
    np.save(out, values.numpy().astype("<f4"))


if __name__ == "__main__":
    main()
