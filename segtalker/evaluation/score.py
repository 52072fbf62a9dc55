"""Score one video of a method: the story of an evaluation on one page."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from segtalker.errors import SegTalkerError
from segtalker.evaluation.figures import VideoFigures
from segtalker.evaluation.measure import Meter
from segtalker.evaluation.pairs import Pair
from segtalker.evaluation.protocol import EvalProtocol
from segtalker.evaluation.scored import Scored
from segtalker.evaluation.sets import SetFigures
from segtalker.evaluation.tools import Tools, load_tools
from segtalker.evaluation.videos import PairLooker, check_lengths, open_pair
from segtalker.evaluation.voice import hear
from segtalker.evaluation.window import AFTER, BEFORE, windows

__all__ = ["Scored", "Tools", "load_tools", "score_pair", "score_row"]


def score_row(pair: Pair, protocol: EvalProtocol, tools: Tools) -> Scored:
    """`score_pair`, but what goes wrong is a row with a reason: one bad video stops no other."""
    try:
        return score_pair(pair, protocol, tools)
    except Exception as error:  # whatever it is, the other videos go on and the row says it
        why = str(error) if isinstance(error, SegTalkerError) else f"{type(error).__name__}: {error}"
        return Scored(pair.id, reason=" ".join(why.split()))


def score_pair(
    pair: Pair,
    protocol: EvalProtocol,
    tools: Tools,
    part: tuple[int, int] | None = None,
    on_frame: Callable[[int, int], None] | None = None,
) -> Scored:
    """Every figure of a pair, its frames streamed through a window of a few seconds.

    part: only frames start..stop of the grid; the figures of parts that cover the video add up to those of
    the whole. on_frame: told how many frames of how many are done. Raises `SegTalkerError` for a pair that
    cannot be scored: no video, no face, lengths or shapes that do not fit.
    """
    with tempfile.TemporaryDirectory(prefix="segtalker-score-") as name:
        work = Path(name)
        videos = open_pair(pair, protocol, work)
        notes = check_lengths(videos, protocol)
        if videos.sound is None:
            notes.append("no sound: what needs speech was not measured")
        frames = videos.frames
        start, stop = (0, frames) if part is None else (max(0, part[0]), min(part[1], frames))
        looker = PairLooker.of(videos, protocol, tools, work)
        voice = hear(videos.sound, videos.labels, frames, protocol, work)
        meter = Meter(protocol, tools, voice, frames, pair.shown_frames)
        first = max(0, start - BEFORE)
        seen = looker.read(first, min(frames, stop + AFTER))
        sizes = protocol.size, protocol.map_size, protocol.margin
        found, sets = VideoFigures(), SetFigures()
        for window in windows(seen, first, range(start, stop), *sizes):
            figures, set_figures = meter.measure(window)
            found, sets = found + figures, sets + set_figures
            if on_frame is not None:
                on_frame(window.core.stop - start, stop - start)
        if stop == frames:
            found += VideoFigures(means={"coverage": looker.missing(frames)})
    return Scored(pair.id, found, sets, tuple(notes))
