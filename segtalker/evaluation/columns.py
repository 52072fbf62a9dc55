"""The figures of an evaluation: how each is called, which way is better, and where it stands in a table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from segtalker.evaluation.definitions import DEFINITIONS

Better = Literal["higher", "lower", "zero", "none"]

REAL = "real"
"""Row of the true videos themselves."""
COPY = "copy the input"
"""Row of the source pictures as they are, with the speech: what doing nothing scores."""
REFERENCE_ROWS = (REAL, COPY)
"""Stand in every table; they are no methods, so that none of them is ever the best."""


@dataclass(frozen=True)
class Column:
    """One figure."""

    name: str
    heading: str
    better: Better
    group: str
    digits: int = 3
    scale: float = 1.0
    """What a table shows is the figure times this."""

    @property
    def meaning(self) -> str:
        """What the figure is, in a sentence; empty of one that is not ours."""
        return DEFINITIONS.get(self.name, "")

    @property
    def arrow(self) -> str:
        """Which way is better."""
        return {"higher": "↑", "lower": "↓", "zero": "→0", "none": ""}[self.better]

    @property
    def title(self) -> str:
        """Heading, arrow and scale, as the paper writes them."""
        scale = "" if self.scale == 1 else f" ×{self.scale:g}"
        return f"{self.heading} {self.arrow}".rstrip() + scale

    def badness(self, value: float) -> float:
        """Grows as the figure gets worse; 0 throughout where neither way is better."""
        return {"higher": -value, "lower": value, "zero": abs(value), "none": 0.0}[self.better]


_SYNC, _VISUAL, _MOUTH, _VIDEO = "Synchronization", "Visual Quality", "Mouth", "Video"

COLUMNS = (
    Column("sync_c", "Sync-C", "higher", _SYNC),
    Column("f_lmd", "F-LMD", "lower", _SYNC),
    Column("m_lmd", "M-LMD", "lower", _SYNC),
    Column("fid", "FID", "lower", _VISUAL),
    Column("lpips", "LPIPS", "lower", _VISUAL, digits=4),
    Column("psnr", "PSNR", "higher", _VISUAL, digits=2),
    Column("ssim", "SSIM", "higher", _VISUAL),
    Column("fvd", "FVD", "lower", _VISUAL, scale=0.1),
    Column("sync_d", "Sync-D", "lower", _SYNC),
    Column("sync_offset", "Offset", "zero", _SYNC, digits=2),
    Column("expert_confidence", "Expert-C", "higher", _SYNC),
    Column("expert_distance", "Expert-D", "lower", _SYNC),
    Column("expert_offset", "Expert offset", "zero", _SYNC, digits=2),
    Column("f_lmd_centred", "F-LMD centred", "lower", _SYNC),
    Column("m_lmd_centred", "M-LMD centred", "lower", _SYNC),
    Column("opening", "Opening", "higher", _MOUTH),
    Column("opening_labels", "Opening (labels)", "higher", _MOUTH),
    Column("closure", "Closure", "lower", _MOUTH),
    Column("silence", "Silence", "lower", _MOUTH),
    Column("silence_leak", "Silence leak", "lower", _MOUTH),
    Column("leak", "Source leak", "lower", _MOUTH),
    Column("miou", "mIoU", "higher", _VISUAL),
    Column("csim", "CSIM", "higher", _VISUAL),
    Column("perceptual_mini", "perceptual_mini", "lower", _VISUAL, digits=4),
    Column("frechet_mini", "frechet_mini", "lower", _VISUAL, digits=5),
    Column("id_mini", "id_mini", "higher", _VISUAL),
    Column("seam", "Seam", "lower", _VIDEO),
    Column("flicker", "Flicker", "zero", _VIDEO),
    Column("flicker_output", "Flicker (output)", "lower", _VIDEO),
    Column("jitter", "Map jitter", "lower", _VIDEO, digits=4),
    Column("coverage", "Coverage", "higher", _VIDEO),
)
"""In the order of the tables."""

AGAINST_THE_TRUTH = (
    "f_lmd", "m_lmd", "f_lmd_centred", "m_lmd_centred", "psnr", "ssim", "lpips", "csim", "perceptual_mini",
    "id_mini", "miou", "opening", "flicker",
)  # fmt: skip
"""Figures that need a reference."""

PAPER = ("sync_c", "f_lmd", "m_lmd", "fid", "lpips", "psnr", "ssim", "fvd")
"""Columns of Table 1 of arXiv 2409.03605."""

_BY_NAME = {column.name: column for column in COLUMNS}


def column(name: str) -> Column:
    """What is known of a figure; one that is not known stands in the table under its own name."""
    return _BY_NAME.get(name) or Column(name, name, "none", "Other")


def in_order(names: Iterable[str]) -> list[Column]:
    """Columns in the order of the tables, unknown ones last by name."""
    places = {known.name: place for place, known in enumerate(COLUMNS)}
    return [column(name) for name in sorted(set(names), key=lambda n: (places.get(n, len(places)), n))]


def paper_columns() -> list[Column]:
    """Columns of the paper's table, whether they were measured or not."""
    return [column(name) for name in PAPER]
