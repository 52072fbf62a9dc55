"""Weights for use: one slim safetensors file that knows its network and its configuration.

Training states (optimizers, step, data position) are another thing: `training/state.py`. Loading executes
nothing from the file, builds the class that `NETWORKS` names, and insists on every tensor.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from segtalker.config import parse_config, to_dict
from segtalker.errors import ConfigError, WeightsError
from segtalker.weights.blank import blank

NETWORKS: dict[str, tuple[str, str, str]] = {
    "generator": ("segtalker.models.stylegan2.synthesis", "Generator", "SynthesisConfig"),
    "discriminator": ("segtalker.models.discriminator", "Discriminator", "DiscriminatorConfig"),
    "speech": ("segtalker.models.speech_encoder", "SpeechEncoder", "SpeechEncoderConfig"),
    "tsg": ("segtalker.models.tsg", "TSG", "TSGConfig"),
    "syncnet": ("segtalker.models.syncnet", "SyncNet", "SyncNetConfig"),
    "style_encoder": ("segtalker.models.style_encoder", "StyleEncoder", "StyleEncoderConfig"),
    "sgi": ("segtalker.models.sgi", "SGI", "SGIConfig"),
    "parsing_unet": ("segtalker.models.frozen.maskgan_unet", "ParsingUNet", "ParsingUNetConfig"),
    "identity": ("segtalker.models.frozen.arcface", "ArcFace", "ArcFaceConfig"),
    "syncnet_v2": ("segtalker.models.frozen.syncnet_v2", "SyncNetV2", "SyncNetV2Config"),
    "lip_expert": ("segtalker.models.syncnet", "SyncNet", "SyncNetConfig"),
    "inception": ("segtalker.models.frozen.inception", "Inception", "InceptionConfig"),
    "i3d": ("segtalker.models.frozen.i3d", "I3D", "I3DConfig"),
    "bisenet": ("segtalker.models.frozen.bisenet", "BiSeNet", "BiSeNetConfig"),
    "lpips": ("segtalker.models.frozen.lpips", "LPIPS", "LPIPSConfig"),
}
"""Network -> module, class and configuration class; imported when needed."""

BESIDE: dict[str, tuple[str, ...]] = {"generator": ("latent_avg",)}
"""Tensors that a file of a network may hold beside the network's own: StyleGAN's mean code [style_dim]."""

_FORMAT = "segtalker-1"
_COUNTER = "num_batches_tracked"
"""Batch norm's count of training batches: no network reads it, and imported networks have none."""
_LARGEST_HALF = torch.finfo(torch.float16).max


def save_weights(
    module: nn.Module, cfg: Any, path: Path, metadata: Mapping[str, Any] | None = None, half: bool = True
) -> Path:
    """Write a network to `path` in one move, in half precision if `half` is set and the values fit.

    cfg: the dataclass that the network was built from. metadata: what else to remember (steps, figures).
    """
    return write_weights(_network_name(module), cfg, module.state_dict(), path, metadata, half)


def write_weights(
    network: str,
    cfg: Any,
    tensors: Mapping[str, Tensor],
    path: Path,
    metadata: Mapping[str, Any] | None = None,
    half: bool = False,
) -> Path:
    """As `save_weights`, from the tensors of a network (a name of `NETWORKS`) that nobody needs to build."""
    stored = _apart({name: _stored(name, value, half) for name, value in tensors.items()})
    header = {
        "format": _FORMAT,
        "network": network,
        "config": json.dumps(to_dict(cfg)),
        "info": json.dumps(to_dict(dict(metadata or {}))),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        save_file(stored, str(temporary), metadata=header)
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path}: cannot be written ({error}). Is the disk full?") from error
    finally:
        temporary.unlink(missing_ok=True)
    return path


def load_weights(
    path: Path | str, network: str | None = None, device: torch.device | str = "cpu"
) -> nn.Module:
    """The network in `path`, in fp32 and evaluation mode, on `device`.

    network: what it must be (a name of `NETWORKS`); None takes any. On the CPU the tensors of a file in full
    precision are pages of that file, which processes share; what changes them changes a copy.
    """
    path = Path(path)
    tensors, header = _read(path, network)
    return build_network(header["network"], _config(header, path), tensors, path).to(device)


def build_network(network: str, cfg: Any, tensors: Mapping[str, Tensor], path: Path) -> nn.Module:
    """`network` (a name of `NETWORKS`) of configuration `cfg` whose tensors are `tensors`, out of `path`."""
    module_name, class_name, _ = NETWORKS[network]
    net = blank(lambda: getattr(importlib.import_module(module_name), class_name)(cfg))
    net.load_state_dict(_fitting(net, tensors, path), assign=True)
    return net.eval()


def read_weights(path: Path | str, network: str) -> tuple[Any, dict[str, Tensor]]:
    """Configuration and tensors of the weights of `network`, for those who want only a part of them."""
    path = Path(path)
    tensors, header = _read(path, network)
    return _config(header, path), tensors


def network_shapes(network: str, cfg: Any) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a network's tensors; nothing is computed and no memory taken."""
    module_name, class_name, _ = NETWORKS[network]
    net = blank(lambda: getattr(importlib.import_module(module_name), class_name)(cfg), device="meta")
    return {name: tuple(value.shape) for name, value in net.state_dict().items()}


def weights_path(name: str, network: str) -> Path:
    """The file of `network`: `mini` is the one shipped with the package, anything else is a path."""
    if name == "mini":
        return Path(__file__).parent / "mini" / f"{network}.safetensors"
    return Path(name)


def fill_weights(net: nn.Module, path: Path | str) -> None:
    """Give `net` the weights in `path`, which must be of the same network and size."""
    path, network = Path(path), _network_name(net)
    tensors, header = _read(path, network)
    stored, wanted = (_flat(to_dict(cfg)) for cfg in (_config(header, path), net.cfg))
    for key, value in wanted.items():
        if stored.get(key) != value:
            raise WeightsError(
                f"{path}: a '{network}' of another size: its {key} is {stored.get(key)}, "
                f"this training has {value}. Take over its configuration `model`, or give other weights "
                "as `start_from`."
            )
    net.load_state_dict(_fitting(net, tensors, path))


def _flat(values: Mapping[str, Any], where: str = "model") -> dict[str, Any]:
    """Dotted key -> value of a configuration without what is no part of the network's function."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{where}.{name}")
        elif name != "dropout":
            flat[f"{where}.{name}"] = value
    return flat


def weights_info(path: Path | str) -> dict[str, Any]:
    """What a weights file says about itself: `network`, `config`, `info`."""
    header = _read_header(Path(path))
    return {
        "network": header["network"],
        "config": json.loads(header["config"]),
        "info": json.loads(header.get("info", "{}")),
    }


def all_finite(value: Tensor) -> bool:
    """Whether no number is NaN or infinite; the sum tells, unless it overflows itself."""
    return bool(torch.isfinite(value.sum())) or bool(torch.isfinite(value).all())


def is_ours(path: Path) -> bool:
    """Whether a file says that it is SegTalker's."""
    try:
        with safe_open(str(path), framework="pt") as file:
            return (file.metadata() or {}).get("format") == _FORMAT
    except (OSError, SafetensorError):
        return False


def _config(header: Mapping[str, str], path: Path) -> Any:
    """The configuration of the network in a file, with the defaults of what it does not say."""
    module_name, _, config_name = NETWORKS[header["network"]]
    config_class = getattr(importlib.import_module(module_name), config_name)
    try:
        return parse_config(config_class, json.loads(header["config"]))
    except ConfigError as error:
        raise WeightsError(f"{path}: its configuration is of another version: {error}") from error
    except ValueError as error:
        raise WeightsError(
            f"{path}: damaged weights (no configuration). Fetch or train them again."
        ) from error


def _fitting(net: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Every tensor of `net` out of `path`, in the network's precision; `WeightsError` if they do not fit."""
    wanted, beside = net.state_dict(), BESIDE.get(_network_name(net), ())
    counters = {name: value for name, value in wanted.items() if name.endswith(_COUNTER)}
    tensors = {**counters, **{name: value for name, value in tensors.items() if name not in beside}}
    missing, extra = sorted(set(wanted) - set(tensors)), sorted(set(tensors) - set(wanted))
    if missing or extra:
        example = f"lacks '{missing[0]}'" if missing else f"has '{extra[0]}' too many"
        raise WeightsError(
            f"{path}: not the weights of this network: {example} "
            f"({len(missing)} missing, {len(extra)} unknown). Fetch or train them again."
        )
    for name, value in wanted.items():
        if value.shape != tensors[name].shape:
            raise WeightsError(
                f"{path}: '{name}' is {list(tensors[name].shape)}, the network has {list(value.shape)}. "
                "These weights are of another size."
            )
        if not all_finite(tensors[name]):
            raise WeightsError(f"{path}: '{name}' holds NaN or infinity. Fetch or train them again.")
    return {name: value.to(wanted[name].dtype) for name, value in tensors.items()}


def _read(path: Path, network: str | None) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and header of the weights of `network`; None takes any."""
    header = _read_header(path)
    found = header["network"]
    if network is not None and found != network:
        raise WeightsError(
            f"{path}: holds a '{found}', not a '{network}'. Give the weights of a '{network}'."
        )
    if found not in NETWORKS:
        raise WeightsError(f"{path}: unknown network '{found}'. Update segtalker.")
    with safe_open(str(path), framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, header  # noqa: SIM118 (no mapping)


def _read_header(path: Path) -> dict[str, str]:
    if not path.is_file():
        raise WeightsError(f"{path}: no such weights. Train them, or see 'segtalker weights'.")
    try:
        with safe_open(str(path), framework="pt") as file:
            header = dict(file.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path}: damaged weights ({error}). Fetch or train them again.") from error
    if header.get("format") != _FORMAT:
        raise WeightsError(f"{path}: no SegTalker weights (format {header.get('format')!r}).")
    if lost := {"network", "config"} - set(header):
        raise WeightsError(f"{path}: damaged weights (no {min(lost)} inside). Fetch or train them again.")
    return header


def _stored(name: str, value: Tensor, half: bool) -> Tensor:
    value = value.detach().cpu().contiguous()
    if not value.is_floating_point():
        return value
    if not all_finite(value):
        raise WeightsError(f"'{name}' is not finite: the training has diverged, nothing is saved.")
    fits = half and (value.numel() == 0 or float(value.abs().max()) <= _LARGEST_HALF)
    return value.to(torch.float16 if fits else torch.float32)


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, those that share memory with an earlier one copied: safetensors takes no two of a kind."""
    seen: set[int] = set()
    apart = {}
    for name, value in tensors.items():
        memory = value.untyped_storage().data_ptr()
        apart[name] = value.clone() if memory in seen else value
        seen.add(memory)
    return apart


def _network_name(module: nn.Module) -> str:
    for name, (module_name, class_name, _) in NETWORKS.items():
        if type(module).__name__ == class_name and type(module).__module__ == module_name:
            return name
    raise WeightsError(f"{type(module).__name__}: not among the networks that weights are kept for.")
