"""One recipe's training loop as it is written in eager PyTorch: what retort-distill does, for scripts/bench to time.

    eager_distill.py RECIPE CORPUS UPDATES ROWS THREADS [--teacher MODEL] [--labels STORE]

RECIPE is retort-distill's resolved recipe (JSON), CORPUS a corpus.jsonl of clips of one length, of which every update takes
ROWS, MODEL a model folder, STORE a label store at 100 Hz. Prints JSON: seconds of every update, of them those spent waiting
for data, and its loss.

Encoders are transformers' (scaled_dot_product_attention), heads and losses as in the reference code: s3prl's
pretrain/distiller for DistilHuBERT, glory20h/FitHuBERT, mdistiller's DKD, torchaudio's examples/hubert.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import soundfile
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F
from transformers import HubertConfig, HubertModel, logging
from transformers.models.hubert.modeling_hubert import HubertFeatureEncoder, _compute_mask_indices

LOGIT_TEMPERATURE = 0.1


# Data.

class Clips(torch.utils.data.Dataset):
    """(waveform, labels or None)."""

    def __init__(self, corpus, labels):
        self.clips = [json.loads(line) for line in corpus.read_text().splitlines()]
        self.folder = corpus.parent
        self.labels = labels and read_labels(labels)

    def __len__(self):
        return len(self.clips)

    def __getitem__(self, index):
        clip = self.clips[index]
        wave, _ = soundfile.read(self.folder / clip["path"], clip["samples"], clip["start"], dtype="float32")
        return torch.from_numpy(wave), self.labels and self.labels[clip["id"]]


def read_labels(store):
    """Id -> labels at the model's rate: every second one of those at 100 Hz."""
    labels = torch.from_numpy(np.load(store / "part-00000-of-00001.npy").astype(np.int64))
    rows = (json.loads(line) for line in (store / "part-00000-of-00001.jsonl").read_text().splitlines())
    return {row["id"]: labels[row["start"]:row["start"] + row["frames"]:2] for row in rows}


def collate(recipe, frames):
    def stack(examples):
        waves, labels = zip(*examples)
        batch = {"waves": torch.stack(waves)}
        if labels[0] is not None:
            batch["labels"] = torch.stack([row[:frames] for row in labels])
        if "masking" in recipe:
            spans = recipe["masking"]
            batch["masked"] = torch.from_numpy(_compute_mask_indices(
                (len(waves), frames), spans["probability"], spans["length"], min_masks=spans["min_spans"]))
        return batch
    return stack


# Modules.

class ScaledGradient(torch.autograd.Function):
    """fairseq's GradMultiply."""

    @staticmethod
    def forward(ctx, x, factor):
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient):
        return gradient * ctx.factor, None


def conv_features(encoder, waves, gradient_factor):
    """(batch, frames, channels) by transformers' conv stack; not by its forward(), which asks for the waveform's gradient."""
    x = waves[:, None]
    for layer in encoder.conv_layers:
        x = layer(x)
    if gradient_factor != 1:
        x = ScaledGradient.apply(x, gradient_factor)
    return x.transpose(1, 2)


def conv_config(student):
    return dict(conv_dim=student["conv_channels"], conv_kernel=student["conv_kernels"],
                conv_stride=student["conv_strides"], feat_extract_norm=student["conv_norm"], conv_bias=student["conv_bias"])


def encoder_config(student):
    return HubertConfig(
        **conv_config(student), feat_proj_layer_norm=student["projection_norm"],
        feat_proj_dropout=student["projection_dropout"], hidden_size=student["hidden"],
        num_hidden_layers=student["layers"], num_attention_heads=student["heads"], intermediate_size=student["ffn"],
        num_conv_pos_embeddings=student["pos_kernel"], num_conv_pos_embedding_groups=student["pos_groups"],
        attention_dropout=student["attention_dropout"], activation_dropout=student["activation_dropout"],
        hidden_dropout=student["hidden_dropout"], layerdrop=student["layerdrop"],
        mask_time_prob=0.05 if student["mask_embedding"] else 0.0)  # whether there is a mask embedding


class Student(nn.Module):
    """transformers' HuBERT, taken apart where methods reach into it: conv stack, projection, mask, time reduction, blocks."""

    def __init__(self, recipe):
        super().__init__()
        shape = recipe["student"]
        self.feature_grad_mult = recipe["feature_grad_mult"]
        self.hubert = HubertModel(encoder_config(shape))
        factor = shape["time_reduction"]
        self.reduction = nn.Conv1d(shape["hidden"], shape["hidden"], factor, factor) if factor > 1 else None

    def forward(self, waves, masked=None):
        """Conv features and the outputs of all blocks, the input of the first in front of them."""
        features = conv_features(self.hubert.feature_extractor, waves, self.feature_grad_mult)
        x = self.hubert.feature_projection(features)
        if masked is not None:
            x[masked] = self.hubert.masked_spec_embed
        encoder = self.hubert.encoder
        x = encoder.dropout(encoder.layer_norm(x + encoder.pos_conv_embed(x)))
        if self.reduction is not None:
            x = self.reduction(x.transpose(1, 2)).transpose(1, 2)
        states = [x]
        for layer in encoder.layers:
            if torch.rand([]) >= encoder.config.layerdrop:
                x = layer(x)
            states.append(x)
        return features, states


class Teacher(nn.Module):
    def __init__(self, folder):
        super().__init__()
        self.hubert = HubertModel.from_pretrained(folder, dtype=torch.float32)
        tensors = load_file(folder / "model.safetensors")
        self.final_proj = tensors["final_proj.weight"], tensors["final_proj.bias"]
        self.label_embeddings = tensors["label_embeddings"]
        self.eval().requires_grad_(False)

    @torch.no_grad()
    def layers(self, waves):
        return self.hubert(waves, output_hidden_states=True).hidden_states

    @torch.no_grad()
    def logits(self, waves):
        projected = F.linear(self.hubert(waves).last_hidden_state, *self.final_proj)
        return cosine_logits(projected, self.label_embeddings)


def cosine_logits(projected, embeddings):
    return F.normalize(projected, dim=-1) @ F.normalize(embeddings, dim=-1).T / LOGIT_TEMPERATURE


# Methods: modules whose forward(batch) is the loss.

class MaskedPrediction(nn.Module):
    """HuBERT and DiceHuBERT."""

    def __init__(self, recipe, teacher, classes):
        super().__init__()
        self.loss = recipe["loss"]
        self.student = Student(recipe)
        dim = recipe["student"]["final_dim"]
        self.final_proj = nn.Linear(recipe["student"]["hidden"], dim)
        self.label_embeddings = nn.Parameter(torch.rand(classes, dim))

    def forward(self, batch):
        features, states = self.student(batch["waves"], batch["masked"])
        logits = cosine_logits(self.final_proj(states[-1][batch["masked"]]), self.label_embeddings)
        labels = batch["labels"][batch["masked"]]
        penalty = features.pow(2).mean()
        return self.loss["masked"] * F.cross_entropy(logits, labels) + self.loss["feature_penalty"] * penalty


class SplitLinear(nn.Module):
    """A linear layer for each of `heads` slices."""

    def __init__(self, heads, inputs, outputs):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(heads, inputs, outputs).uniform_(-inputs ** -0.5, inputs ** -0.5))
        self.bias = nn.Parameter(torch.empty(heads, 1, outputs).uniform_(-inputs ** -0.5, inputs ** -0.5))

    def forward(self, x):
        """(batch, frames, heads * inputs) to (batch, heads, frames, outputs)."""
        heads, inputs, _ = self.weight.shape
        return torch.einsum("btni,nio->bnto", x.unflatten(-1, (heads, inputs)), self.weight) + self.bias


class DistilHubert(nn.Module):
    def __init__(self, recipe, teacher, classes):
        super().__init__()
        self.weights = recipe["loss"]
        self.layers = recipe["student"]["predicted_layers"]
        self.student = Student(recipe)
        own, theirs = self.student.hubert, teacher.hubert
        own.feature_extractor.load_state_dict(theirs.feature_extractor.state_dict())
        own.feature_projection.projection.load_state_dict(theirs.feature_projection.projection.state_dict())
        own.encoder.pos_conv_embed.load_state_dict(theirs.encoder.pos_conv_embed.state_dict())
        for layer, source in zip(own.encoder.layers, theirs.encoder.layers):
            layer.load_state_dict(source.state_dict())
        hidden, dim, heads = recipe["student"]["hidden"], theirs.config.hidden_size, len(self.layers)
        self.heads = nn.Sequential(nn.Linear(hidden, hidden * heads), nn.GELU(), SplitLinear(heads, hidden, dim))
        self.teacher = [teacher]  # in a list, so that its parameters are not this module's

    def forward(self, batch):
        hidden = self.teacher[0].layers(batch["waves"])
        target = torch.stack([hidden[layer] for layer in self.layers], dim=1)
        prediction = self.heads(self.student(batch["waves"])[1][-1])
        l1 = F.l1_loss(prediction, target)
        cosine = -F.logsigmoid(F.cosine_similarity(prediction, target, dim=-1)).mean()
        return self.weights["l1"] * l1 + self.weights["cosine"] * cosine


class UpsamplingHead(nn.Module):
    def __init__(self, hidden, factor, dim):
        super().__init__()
        self.upsampler = nn.ConvTranspose1d(hidden, hidden, factor, factor)
        self.projection = nn.Linear(hidden, dim)

    def forward(self, x):
        return self.projection(self.upsampler(x.transpose(1, 2)).transpose(1, 2))


class FitHubert(nn.Module):
    def __init__(self, recipe, teacher, classes):
        super().__init__()
        shape = recipe["student"]
        self.weights = recipe["loss"]
        self.layers = shape["predicted_layers"]
        self.student = Student(recipe)
        self.heads = nn.ModuleList(
            UpsamplingHead(shape["hidden"], shape["time_reduction"], teacher.hubert.config.hidden_size)
            for _ in self.layers)
        self.teacher = [teacher]

    def forward(self, batch):
        hidden = self.teacher[0].layers(batch["waves"])
        states = self.student(batch["waves"])[1]
        prediction = torch.stack([head(states[layer]) for head, layer in zip(self.heads, self.layers)], dim=1)
        target = torch.stack([hidden[layer] for layer in self.layers], dim=1)[:, :, :prediction.shape[2]]
        of_layers = F.mse_loss(prediction, target, reduction="none").mean((0, 2, 3))
        return self.weights["hint_weight"] * of_layers[:-1].sum() + self.weights["last_weight"] * of_layers[-1]


class DecoupledLstm(nn.Module):
    def __init__(self, recipe, teacher, classes):
        super().__init__()
        shape = recipe["student"]
        self.weights = recipe["loss"]
        self.gradient_factor = recipe["feature_grad_mult"]
        self.conv = HubertFeatureEncoder(HubertConfig(**conv_config(shape)))
        channels = shape["conv_channels"][-1]
        self.norm = nn.LayerNorm(channels)
        self.lstm = nn.LSTM(channels, shape["lstm_hidden"], shape["layers"], batch_first=True,
                            dropout=shape["hidden_dropout"], bidirectional=shape["bidirectional"])
        self.head = nn.Linear(shape["lstm_hidden"] * (2 if shape["bidirectional"] else 1), classes)
        self.teacher = [teacher]

    def forward(self, batch):
        target = self.teacher[0].logits(batch["waves"]).flatten(0, 1)
        features = conv_features(self.conv, batch["waves"], self.gradient_factor)
        states, _ = self.lstm(self.norm(features))
        logits = self.head(states).flatten(0, 1)
        labels = target.argmax(-1)
        own_class, other_classes = decoupled(logits, target, labels, self.weights["temperature"])
        return (self.weights["cross_entropy"] * F.cross_entropy(logits, labels)
                + self.weights["target_class"] * own_class + self.weights["other_classes"] * other_classes)


def decoupled(student, teacher, labels, temperature):
    """Decoupled distillation of logits (frames, classes): the label against all others, and the others among themselves."""
    chosen = F.one_hot(labels, student.shape[1]).bool()

    def two_classes(logits):
        p = F.softmax(logits / temperature, dim=1)
        return torch.stack([(p * chosen).sum(1), (p * ~chosen).sum(1)], dim=1)

    def others(logits):
        return F.log_softmax(logits / temperature - 1000.0 * chosen, dim=1)

    own = F.kl_div(two_classes(student).log(), two_classes(teacher), reduction="batchmean")
    rest = F.kl_div(others(student), others(teacher), reduction="batchmean", log_target=True)
    return own * temperature ** 2, rest * temperature ** 2


METHODS = {"masked_prediction": MaskedPrediction, "class_distillation": DecoupledLstm}
LAYER_PREDICTION = {"split": DistilHubert, "upsampled": FitHubert}


# Training.

def make_optimizer(method, options):
    biases = [value for name, value in method.named_parameters() if "bias" in name]
    others = [value for name, value in method.named_parameters() if "bias" not in name]
    decay = options["weight_decay"]
    return torch.optim.AdamW([{"params": biases, "weight_decay": decay if options["decay_biases"] else 0.0},
                              {"params": others, "weight_decay": decay}],
                             lr=options["lr"], betas=(options["beta1"], options["beta2"]), eps=options["eps"])


def train(method, recipe, loader):
    schedule, clip = recipe["schedule"], recipe["optimizer"]["clip_norm"]
    optimizer = make_optimizer(method, recipe["optimizer"])
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: (step + 1) / max(schedule["warmup_steps"], 1))
    method.train()
    report = {"seconds": [], "wait": [], "loss": []}
    begun = time.perf_counter()
    for batch in loader:
        report["wait"].append(time.perf_counter() - begun)
        optimizer.zero_grad()
        loss = method(batch)
        loss.backward()
        if clip > 0:
            nn.utils.clip_grad_norm_(method.parameters(), clip)
        optimizer.step()
        scheduler.step()
        report["loss"].append(loss.item())
        report["seconds"].append(time.perf_counter() - begun)
        begun = time.perf_counter()
    return report


def class_count(labels, teacher):
    if labels:
        return json.loads((labels / "part-00000-of-00001.json").read_text())["clusters"]
    return len(teacher.label_embeddings)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("updates", type=int)
    parser.add_argument("rows", type=int)
    parser.add_argument("threads", type=int)
    parser.add_argument("--teacher", type=Path)
    parser.add_argument("--labels", type=Path)
    args = parser.parse_args()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    recipe = json.loads(args.recipe.read_text())
    clips = Clips(args.corpus, args.labels)
    teacher = args.teacher and Teacher(args.teacher)
    classes = class_count(args.labels, teacher)
    kind = recipe["objective"]
    method_type = LAYER_PREDICTION[recipe["student"]["prediction_heads"]] if kind == "layer_prediction" else METHODS[kind]
    method = method_type(recipe, teacher, classes)
    frames = clips.clips[0]["samples"]
    for kernel, stride in zip(recipe["student"]["conv_kernels"], recipe["student"]["conv_strides"]):
        frames = (frames - kernel) // stride + 1
    loader = torch.utils.data.DataLoader(
        torch.utils.data.Subset(clips, range(args.updates * args.rows)), batch_size=args.rows, num_workers=1,
        collate_fn=collate(recipe, frames))
    report = train(method, recipe, loader)
    report["parameters"] = sum(value.numel() for value in method.parameters())
    print(json.dumps(report))


if __name__ == "__main__":
    main()
