"""AV-HuBERT's audio path (arXiv 2201.02184) as the context of our speech encoder.

Our modules have the published names. The video half, what pretraining predicts and, in fine-tuned files, the
text decoder are left out; heads for phones and mouth shapes are ours, and a file of AV-HuBERT has none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from segtalker.errors import WeightsError
from segtalker.models.frozen.avhubert import AVHubertConfig
from segtalker.models.speech_encoder import SpeechEncoderConfig
from segtalker.weights.checkpoint import network_shapes
from segtalker.weights.convert.layout import Layout
from segtalker.weights.convert.table import Dropped, KeyTable, Shape, same_shape
from segtalker.weights.convert.weight_norm import as_pairs
from segtalker.weights.pickles.tensors import StoredTensor

PREFIXES = ("", "encoder.w2v_model.", "w2v_encoder.w2v_model.", "audio_encoder.w2v_model.")
"""Before every key: pretrained, fine-tuned to write text (two kinds), inside a lip-sync network."""
DROPPED = (
    Dropped(r"feature_extractor_video\..+", "the video half"),
    Dropped(r"mask_emb", "stands for hidden input in pretraining"),
    Dropped(r"label_embs_concat", "what pretraining predicts"),
    Dropped(r"final_proj\..+", "what pretraining predicts"),
)
_CONTEXT = "context."
_HEAD_DIM = 64
"""Of both published sizes."""


def audio_path(
    shapes: Mapping[str, Shape], settings: Mapping[str, Any], place: str
) -> tuple[SpeechEncoderConfig, KeyTable]:
    """Configuration and table for keys without their prefix; `settings` are the options of the file."""
    dim, pos_shape = shapes["post_extract_proj.weight"][0], shapes["encoder.pos_conv.0.weight_v"]
    options = _model_options(settings)
    if options.get("layer_norm_first") is False:
        raise WeightsError(f"{place}: normalises after its layers; only networks that do before are known.")
    heads = options.get("encoder_attention_heads", dim // _HEAD_DIM)
    try:
        context = AVHubertConfig(
            dim=dim,
            ffn_dim=shapes["encoder.layers.0.fc1.weight"][0],
            layers=sum(
                re.fullmatch(r"encoder\.layers\.\d+\.fc1\.weight", name) is not None for name in shapes
            ),
            heads=heads,
            input_dim=shapes["feature_extractor_audio.proj.weight"][1],
            pos_kernel=pos_shape[2],
            pos_groups=dim // pos_shape[1],
        )
    except (ArithmeticError, IndexError, TypeError, ValueError) as error:
        raise WeightsError(f"{place}: no network of AV-HuBERT's shape: {error}.") from error
    cfg = SpeechEncoderConfig(context)
    ours = network_shapes("speech", cfg)
    names = [name for name in ours if name.startswith(_CONTEXT)]
    return cfg, KeyTable(
        same_shape(((name.removeprefix(_CONTEXT), name) for name in names), ours), {}, DROPPED
    )


def without_prefix(tensors: dict[str, StoredTensor]) -> dict[str, StoredTensor]:
    """The tensors of AV-HuBERT by their own names; those beside it (a text decoder) are left out."""
    for prefix in PREFIXES:
        if f"{prefix}post_extract_proj.weight" in tensors:
            own = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
            return as_pairs(own, "encoder.pos_conv.0", kept_dim=2)
    return tensors


def _model_options(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Options of the transformer: `cfg.model`, in fine-tuned files one level deeper."""
    node: Any = settings.get("cfg")
    for _ in range(4):
        if not isinstance(node, Mapping):
            break
        if "encoder_attention_heads" in node:
            return node
        node = node.get("model", node.get("w2v_args"))
    return {}


def _speech_row(cfg: SpeechEncoderConfig) -> str:
    return {(768, 12): "avhubert_base", (1024, 24): "avhubert_large"}.get(
        (cfg.context.dim, cfg.context.layers), "avhubert"
    )


LAYOUTS = (
    Layout(
        "AV-HuBERT, audio path",
        "speech",
        ("model", "", "state_dict"),
        ("feature_extractor_audio.proj.weight", "post_extract_proj.weight", "encoder.pos_conv.0.weight_v"),
        audio_path,
        _speech_row,
        ours_alone=("phones.", "mouth."),
        own_keys=without_prefix,
    ),
)
