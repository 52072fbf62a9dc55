"""Published layouts, recognised by their keys whatever a file is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from segtalker.errors import WeightsError
from segtalker.models.discriminator import DiscriminatorConfig
from segtalker.models.speech_encoder import SpeechEncoderConfig
from segtalker.models.stylegan2.synthesis import SynthesisConfig
from segtalker.weights.convert import avhubert, stylegan2
from segtalker.weights.convert.table import KeyTable, Shape
from segtalker.weights.foreign import ForeignFile
from segtalker.weights.pickles.tensors import StoredTensor

Tensors = dict[str, StoredTensor]
Plan = Callable[[Mapping[str, Shape], Mapping[str, Any], str], tuple[Any, KeyTable]]

_NEAREST = 3


@dataclass(frozen=True)
class Layout:
    """One network in one published layout."""

    title: str
    network: str
    """What it becomes: a name of `checkpoint.NETWORKS`."""
    groups: tuple[str, ...]
    """Groups of a file in which it is looked for first; averages stand before what they average."""
    signature: tuple[str, ...]
    """Keys that no other layout has together."""
    plan: Plan
    """Shapes, options of the file and its name to our configuration and the table of keys."""
    row: Callable[[Any], str]
    """Name in the registry of the published network of a configuration."""
    beside: tuple[str, ...] = ()
    """Tensors of the outermost dictionary that belong to it."""
    ours_alone: tuple[str, ...] = ()
    """Parts of our network that no published file has; they begin at zero."""
    own_keys: Callable[[Tensors], Tensors] = lambda tensors: tensors
    """Takes off prefixes that vary between files."""


@dataclass(frozen=True)
class Match:
    """A network that was found in a file."""

    file: ForeignFile
    layout: Layout
    group: str
    tensors: Tensors

    @property
    def title(self) -> str:
        """What was found, and where."""
        return self.layout.title + (f", in {self.group!r}" if self.group else "")

    def plan(self) -> tuple[Any, KeyTable]:
        """Our configuration of this network and its table of keys; `WeightsError` if the shapes make none."""
        place = str(self.file.path)
        shapes = {name: value.shape for name, value in self.tensors.items()}
        try:
            return self.layout.plan(shapes, self.file.settings, place)
        except KeyError as error:
            raise WeightsError(
                f"{place}: a {self.layout.title}, but it lacks '{error.args[0]}'. Fetch it again."
            ) from error
        except (IndexError, ValueError) as error:
            raise WeightsError(f"{place}: a {self.layout.title} of impossible shapes: {error}.") from error


def _generator_row(cfg: SynthesisConfig) -> str:
    return f"stylegan2_ffhq_{cfg.size}"


def _discriminator_row(cfg: DiscriminatorConfig) -> str:
    return f"stylegan2_ffhq_{cfg.size}_d"


def _speech_row(cfg: SpeechEncoderConfig) -> str:
    return {(768, 12): "avhubert_base", (1024, 24): "avhubert_large"}.get(
        (cfg.context.dim, cfg.context.layers), "avhubert"
    )


LAYOUTS: tuple[Layout, ...] = (
    Layout(
        "StyleGAN2 generator, layout of the PyTorch port",
        "generator",
        ("g_ema", "params_ema", "", "g"),
        ("input.input", "conv1.conv.modulation.weight", "to_rgb1.conv.modulation.weight"),
        lambda shapes, _, place: stylegan2.rosinality_generator(shapes, place),
        _generator_row,
        beside=(stylegan2.LATENT_AVG,),
    ),
    Layout(
        "StyleGAN2 generator, NVIDIA's layout",
        "generator",
        ("G_ema", "", "G"),
        ("synthesis.b4.const", "synthesis.b4.conv1.affine.weight", "mapping.w_avg"),
        lambda shapes, _, place: stylegan2.nvidia_generator(shapes, place),
        _generator_row,
    ),
    Layout(
        "StyleGAN2 discriminator, layout of the PyTorch port",
        "discriminator",
        ("d", ""),
        ("convs.0.0.weight", "convs.1.skip.1.weight", "final_linear.1.weight"),
        lambda shapes, _, place: stylegan2.rosinality_discriminator(shapes, place),
        _discriminator_row,
    ),
    Layout(
        "StyleGAN2 discriminator, NVIDIA's layout",
        "discriminator",
        ("D", ""),
        ("b8.skip.weight", "b4.conv.weight", "b4.out.weight"),
        lambda shapes, _, place: stylegan2.nvidia_discriminator(shapes, place),
        _discriminator_row,
    ),
    Layout(
        "AV-HuBERT, audio path",
        "speech",
        ("model", "", "state_dict"),
        ("feature_extractor_audio.proj.weight", "post_extract_proj.weight", "encoder.pos_conv.0.weight_v"),
        avhubert.audio_path,
        _speech_row,
        ours_alone=("phones.", "mouth."),
        own_keys=avhubert.without_prefix,
    ),
)


def recognise(file: ForeignFile, group: str | None = None) -> list[Match]:
    """Every network in `file`, in the order of `LAYOUTS`; `WeightsError` with the nearest ones if none is.

    group: look only there, as in `g` for the generator that `g_ema` averages.
    """
    if group is not None and group not in file.groups:
        known = ", ".join(repr(name) for name in file.groups)
        raise WeightsError(f"{file.path}: has no group '{group}'; groups with tensors: {known}.")
    matches = [match for layout in LAYOUTS if (match := _match(layout, file, group)) is not None]
    if not matches:
        raise WeightsError(f"{file.path}: no network that is known by its keys. {_nearest(file)}")
    return matches


def _match(layout: Layout, file: ForeignFile, group: str | None) -> Match | None:
    for name in _candidates(layout, file) if group is None else (group,):
        tensors = layout.own_keys(file.groups[name])
        if set(layout.signature) <= set(tensors):
            outermost = file.groups.get("", {})
            beside = {key: outermost[key] for key in layout.beside if key in outermost}
            return Match(file, layout, name, {**tensors, **beside})
    return None


def _candidates(layout: Layout, file: ForeignFile) -> list[str]:
    """The groups of a file, the preferred ones and averages first."""
    rank = {name: number for number, name in enumerate(layout.groups)}
    return sorted(file.groups, key=lambda name: (rank.get(name, len(rank)), "ema" not in name))


def _nearest(file: ForeignFile) -> str:
    """The layouts that share most of their signature with the file."""
    found = []
    for layout in LAYOUTS:
        for name, group in file.groups.items():
            lacking = [key for key in layout.signature if key not in layout.own_keys(group)]
            have = len(layout.signature) - len(lacking)
            where = f" in {name!r}" if name else ""
            found.append((-have, f"{layout.title}{where} (lacks {', '.join(map(repr, lacking))})"))
    near = [text for have, text in sorted(found, key=lambda item: item[0]) if have][:_NEAREST]
    example = ", ".join(repr(key) for key in list(next(iter(file.groups.values())))[:_NEAREST])
    known = "Nothing is near; known are: " + "; ".join(layout.title for layout in LAYOUTS)
    return (f"Nearest: {'; '.join(near)}" if near else known) + f". The file has keys such as {example}."
