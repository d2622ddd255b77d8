"""Students of HuBERT that transformers has no class of its own for, as retort-export writes them.

    from transformers import AutoFeatureExtractor, AutoModel
    model = AutoModel.from_pretrained(folder, trust_remote_code=True).eval()
    inputs = AutoFeatureExtractor.from_pretrained(folder)(samples, sampling_rate=16000, return_tensors="pt")
    features = model(**inputs).last_hidden_state

FitHubertModel: a thin transformer, before which a convolution may halve the frame rate (Lee et al. 2022, arXiv 2207.00555).
HubertLstmModel: recurrent layers behind HuBERT's conv stack (de Oliveira and Gerkmann 2023, arXiv 2309.09920).
HubertWithHeadsModel: a HuBERT that kept the heads which predict layers of its teacher (DistilHuBERT, Chang et al. 2022, arXiv
2110.01900).

Utterances of a batch with an attention mask are computed one by one, since padding would change the norms over time: a batch gives
what each utterance alone gives, with zeros behind it.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import weight_norm
from transformers import PretrainedConfig, PreTrainedModel
from transformers.utils import ModelOutput


class RetortConfig(PretrainedConfig):
    """Keys are those of HubertConfig, of which config.json has all that are needed, and a few that it need not have."""
    feat_proj_linear = True
    time_reduction = 1
    time_reduction_fills = False
    attention_period = 1
    lstm_hidden_size = None
    prediction_heads = None


class FitHubertConfig(RetortConfig):
    model_type = "fithubert"


class HubertLstmConfig(RetortConfig):
    model_type = "hubert-lstm"


class HubertWithHeadsConfig(RetortConfig):
    model_type = "hubert"


@dataclass
class RetortOutput(ModelOutput):
    """last_hidden_state: (batch, frames, hidden). hidden_states: input of the first block and output of each, the last one as in
    last_hidden_state. extract_features: frames of the conv stack (batch, conv frames, channels). head_states: what each prediction
    head gives (batch, frames, teacher's width), in the order of config.prediction_heads["layers"]. frames: how many frames of
    last_hidden_state each utterance has (batch)."""
    last_hidden_state: torch.Tensor | None = None
    hidden_states: tuple | None = None
    extract_features: torch.Tensor | None = None
    head_states: tuple | None = None
    frames: torch.Tensor | None = None


class ConvLayer(nn.Module):
    def __init__(self, config, index):
        super().__init__()
        before, channels = (1 if index == 0 else config.conv_dim[index - 1]), config.conv_dim[index]
        self.conv = nn.Conv1d(before, channels, config.conv_kernel[index], config.conv_stride[index], bias=config.conv_bias)
        self.over_time = config.feat_extract_norm == "group"
        if not self.over_time:
            self.layer_norm = nn.LayerNorm(channels)
        elif index == 0:
            self.layer_norm = nn.GroupNorm(channels, channels)

    def forward(self, x):
        x = self.conv(x)
        if not self.over_time:
            x = self.layer_norm(x.transpose(1, 2)).transpose(1, 2)
        elif hasattr(self, "layer_norm"):
            x = self.layer_norm(x)
        return F.gelu(x)


class ConvStack(nn.Module):
    """(batch, samples) to (batch, frames, channels)."""

    def __init__(self, config):
        super().__init__()
        self.conv_layers = nn.ModuleList(ConvLayer(config, i) for i in range(len(config.conv_dim)))

    def forward(self, samples):
        x = samples[:, None]
        for layer in self.conv_layers:
            x = layer(x)
        return x.transpose(1, 2)


class FeatureProjection(nn.Module):
    def __init__(self, config):
        super().__init__()
        channels = config.conv_dim[-1]
        self.layer_norm = nn.LayerNorm(channels, eps=config.layer_norm_eps) if config.feat_proj_layer_norm else nn.Identity()
        self.projection = nn.Linear(channels, config.hidden_size) if config.feat_proj_linear else nn.Identity()

    def forward(self, x):
        return self.projection(self.layer_norm(x))


class PositionalConv(nn.Module):
    """What a convolution over many frames says of where a frame is; an even kernel gives one frame too many."""

    def __init__(self, config):
        super().__init__()
        kernel = config.num_conv_pos_embeddings
        self.conv = weight_norm(nn.Conv1d(config.hidden_size, config.hidden_size, kernel, padding=kernel // 2,
                                          groups=config.num_conv_pos_embedding_groups), dim=2)

    def forward(self, x):
        return F.gelu(self.conv(x.transpose(1, 2))[:, :, :x.shape[1]]).transpose(1, 2)


class Attention(nn.Module):
    """Without query and key of its own, it looks where the block before it looked."""

    def __init__(self, config, own_map):
        super().__init__()
        width = config.hidden_size
        self.heads = config.num_attention_heads
        self.own_map = own_map
        if own_map:
            self.q_proj = nn.Linear(width, width)
            self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x, looks):
        def by_head(y):
            return y.unflatten(2, (self.heads, -1)).transpose(1, 2)

        if self.own_map:
            looks = by_head(self.q_proj(x)), by_head(self.k_proj(x))
        mixed = F.scaled_dot_product_attention(*looks, by_head(self.v_proj(x)))
        return self.out_proj(mixed.transpose(1, 2).flatten(2)), looks


class FeedForward(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.intermediate_dense = nn.Linear(config.hidden_size, config.intermediate_size)
        self.output_dense = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, x):
        return self.output_dense(F.gelu(self.intermediate_dense(x)))


class Block(nn.Module):
    def __init__(self, config, index):
        super().__init__()
        self.norm_first = config.do_stable_layer_norm
        self.attention = Attention(config, index % config.attention_period == 0)
        self.layer_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.feed_forward = FeedForward(config)
        self.final_layer_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, x, looks):
        if self.norm_first:
            mixed, looks = self.attention(self.layer_norm(x), looks)
            x = x + mixed
            return x + self.feed_forward(self.final_layer_norm(x)), looks
        mixed, looks = self.attention(x, looks)
        x = self.layer_norm(x + mixed)
        return self.final_layer_norm(x + self.feed_forward(x)), looks


class Transformer(nn.Module):
    """(batch, conv frames, hidden) to the states before, between and behind the blocks."""

    def __init__(self, config):
        super().__init__()
        self.fills = config.time_reduction_fills
        self.norm_first = config.do_stable_layer_norm
        self.pos_conv_embed = PositionalConv(config)
        self.layer_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        if config.time_reduction > 1:
            self.time_reduction = nn.Conv1d(config.hidden_size, config.hidden_size, config.time_reduction, config.time_reduction)
        self.layers = nn.ModuleList(Block(config, i) for i in range(config.num_hidden_layers))

    def reduce_time(self, x):
        factor = self.time_reduction.stride[0]
        if self.fills:  # zeros fill the last window, and are one more where it is full
            x = F.pad(x, (0, 0, 0, factor - x.shape[1] % factor))
        if x.shape[1] < factor:
            return x[:, :0]
        return self.time_reduction(x.transpose(1, 2)).transpose(1, 2)

    def forward(self, x):
        x = x + self.pos_conv_embed(x)
        if not self.norm_first:
            x = self.layer_norm(x)
        if hasattr(self, "time_reduction"):
            x = self.reduce_time(x)
        states, looks = [x], None
        for layer in self.layers:
            x, looks = layer(x, looks)
            states.append(x)
        return states

    def final(self, last):
        return self.layer_norm(last) if self.norm_first else last


class LstmLayer(nn.Module):
    def __init__(self, inputs, units, bidirectional):
        super().__init__()
        self.units, self.bidirectional = units, bidirectional
        for end in ("", "_reverse") if bidirectional else ("",):
            for part, shape in (("weight_ih", (4 * units, inputs)), ("weight_hh", (4 * units, units)),
                                ("bias_ih", (4 * units,)), ("bias_hh", (4 * units,))):
                self.register_parameter(part + end, nn.Parameter(torch.zeros(shape)))

    def forward(self, x):
        state = x.new_zeros(2 if self.bidirectional else 1, x.shape[0], self.units)
        return torch.lstm(x, (state, state), list(self.parameters()), True, 1, 0.0, False, self.bidirectional, True)[0]


class Lstm(nn.Module):
    def __init__(self, config):
        super().__init__()
        first = config.hidden_size if config.feat_proj_linear else config.conv_dim[-1]
        self.lstm = nn.ModuleList(LstmLayer(config.hidden_size if i else first, config.lstm_hidden_size, config.bidirectional)
                                  for i in range(config.num_hidden_layers))

    def forward(self, x):
        states = [x]
        for layer in self.lstm:
            states.append(layer(states[-1]))
        return states

    def final(self, last):
        return last


class SplitHeads(nn.Module):
    """DistilHuBERT's: one linear layer for all heads, then a matrix for each, all of the last block's output."""

    def __init__(self, config):
        super().__init__()
        count, inner, width = len(config.prediction_heads["layers"]), config.prediction_heads["inner"], config.prediction_heads["dim"]
        self.inner = nn.Linear(config.hidden_size, count * inner)
        self.split = nn.ParameterDict({"weight": torch.zeros(count, inner, width), "bias": torch.zeros(count, width)})

    def forward(self, states, conv_frames):
        inner = F.gelu(self.inner(states[-1])).unflatten(2, self.split["weight"].shape[:2])
        heads = torch.einsum("bthi,hid->hbtd", inner, self.split["weight"]) + self.split["bias"][:, None, None]
        return tuple(heads)


class UpsampledHead(nn.Module):
    def __init__(self, config):
        super().__init__()
        width, factor = config.hidden_size, config.time_reduction
        if factor > 1:
            self.upsampler = nn.ConvTranspose1d(width, width, factor, factor)
        if width != config.prediction_heads["dim"] or factor == 1:
            self.projection = nn.Linear(width, config.prediction_heads["dim"])

    def forward(self, x, conv_frames):
        if hasattr(self, "upsampler") and x.shape[1] > 0:
            x = self.upsampler(x.transpose(1, 2)).transpose(1, 2)
        return (self.projection(x) if hasattr(self, "projection") else x)[:, :conv_frames]


class UpsampledHeads(nn.ModuleDict):
    """FitHuBERT's: one for each block, at the frame rate of the conv stack."""

    def __init__(self, config):
        super().__init__({str(layer): UpsampledHead(config) for layer in config.prediction_heads["layers"]})

    def forward(self, states, conv_frames):
        return tuple(head(states[int(layer)], conv_frames) for layer, head in self.items())


def of_one_length(tensors):
    """Tensors (1, frames, width) in one, zeros behind the shorter ones."""
    longest = max(one.shape[1] for one in tensors)
    return torch.cat([F.pad(one, (0, 0, 0, longest - one.shape[1])) for one in tensors])


class RetortModel(PreTrainedModel):
    main_input_name = "input_values"
    base_model_prefix = "retort"

    def __init__(self, config):
        super().__init__(config)
        self.feature_extractor = ConvStack(config)
        self.feature_projection = FeatureProjection(config)
        if config.mask_time_prob > 0 or config.mask_feature_prob > 0:  # of training alone
            width = config.hidden_size if config.feat_proj_linear else config.conv_dim[-1]
            self.masked_spec_embed = nn.Parameter(torch.zeros(width))
        self.encoder = Lstm(config) if config.lstm_hidden_size else Transformer(config)
        if config.prediction_heads:
            self.heads = (SplitHeads if config.prediction_heads["kind"] == "split" else UpsampledHeads)(config)
        self.post_init()

    def _init_weights(self, module):
        pass  # models come with weights

    def compute(self, samples):
        frames = self.feature_extractor(samples)
        states = self.encoder(self.feature_projection(frames))
        heads = self.heads(states, frames.shape[1]) if hasattr(self, "heads") else ()
        return frames, [*states[:-1], self.encoder.final(states[-1])], heads

    def forward(self, input_values, attention_mask=None, output_hidden_states=None, return_dict=None, **others):
        if attention_mask is None or bool((attention_mask != 0).all()):
            frames, states, heads = self.compute(input_values)
            counts = torch.full((len(input_values),), states[-1].shape[1], device=states[-1].device)
        else:
            lengths = (attention_mask != 0).sum(1).tolist()
            each = [self.compute(one[None, :length]) for one, length in zip(input_values, lengths)]
            frames = of_one_length([one[0] for one in each])
            states = [of_one_length(level) for level in zip(*(one[1] for one in each))]
            heads = tuple(of_one_length(level) for level in zip(*(one[2] for one in each)))
            counts = torch.tensor([one[1][-1].shape[1] for one in each], device=frames.device)
        wanted = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        output = RetortOutput(last_hidden_state=states[-1], hidden_states=tuple(states) if wanted else None, extract_features=frames,
                              head_states=heads or None, frames=counts)
        return output.to_tuple() if return_dict is False else output


class FitHubertModel(RetortModel):
    config_class = FitHubertConfig


class HubertLstmModel(RetortModel):
    config_class = HubertLstmConfig


class HubertWithHeadsModel(RetortModel):
    config_class = HubertWithHeadsConfig
