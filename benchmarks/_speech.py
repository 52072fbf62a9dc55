"""The speech of prepared clips. Shards hold its spectrogram alone, which SyncNet v2 does not hear.

It is said again by the synthesiser of the corpus, or decoded from the video that the clip was prepared from,
and it counts only where its spectrogram is the one in the shard.
"""

from __future__ import annotations

import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segtalker.audio.mel import mel_spectrogram
from segtalker.audio.source import SAMPLE_RATE
from segtalker.config import load_config
from segtalker.data.clip_samples import CutSpeech
from segtalker.data.shards import FPS, Row, ShardReader
from segtalker.errors import DataError
from segtalker.media.audio import decode_speech
from segtalker.storage import get_file, is_local, local_path
from segtalker.synthetic.plan import SynthConfig, plan_corpus
from segtalker.synthetic.samples import say

_TOLERANCE = 0.01
"""Of a spectrogram in -4..4, which shards keep in half precision."""
_EDGE = 4
"""Steps at either end of a piece that hear what stands beside it in the video."""


def speech_of(reader: ShardReader, clip: int) -> NDArray[np.float32]:
    """Samples [N] at 16 kHz from the clip's first frame on; `SegTalkerError` where nobody can tell them."""
    row = reader.rows[clip]
    samples = _decoded(row) if "source" in row.provenance else _said_again(row)
    mel, found = reader.read(clip, "mel").astype(np.float32), mel_spectrogram(samples)
    inner = slice(_EDGE, min(len(mel), len(found)) - _EDGE)
    if abs(len(mel) - len(found)) > _EDGE or np.abs(mel[inner] - found[inner]).max() > _TOLERANCE:
        raise DataError(f"clip '{row.key}': another speech than it was prepared with. Prepare it again.")
    return samples


def _decoded(row: Row) -> NDArray[np.float32]:
    """Out of the video, which may have gone since."""
    source, (first, last) = row.provenance["source"], row.provenance["frames"]
    with tempfile.TemporaryDirectory() as folder:
        path = local_path(source) if is_local(source) else Path(folder) / Path(source).name
        if not is_local(source):
            get_file(source, path)
        whole = decode_speech(path, Path(folder) / "speech.npy")
        start = Fraction(row.provenance.get("start", 0)) + Fraction(first, FPS)
        length = (last - first) * SAMPLE_RATE // FPS
        return CutSpeech(whole, start, length).samples(0, length)


def _said_again(row: Row) -> NDArray[np.float32]:
    """By the synthesiser, from the configuration that stands in the folder of a synthetic corpus."""
    corpus = row.shard.parents[1] / "corpus.yaml"
    if not corpus.is_file():
        raise DataError(f"clip '{row.key}': neither its video is known nor a {corpus} that made it.")
    cfg = load_config(SynthConfig, corpus)
    plan = next((plan for plan in plan_corpus(cfg) if plan.key == row.key), None)
    if plan is None:
        raise DataError(f"clip '{row.key}': is none of those that {corpus} makes.")
    return say(cfg, plan).samples
