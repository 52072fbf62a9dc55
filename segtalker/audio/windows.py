"""The only arithmetic between output time, mel steps (80 Hz) and speech tokens (25 Hz).

Times are seconds since the start of the speech, exact rationals, on the 25 fps grid or off it. At 25 fps the
mel window of frame f is the one of the five frames f-2..f+2 (16 steps, 0.2 s), and its token is token f. The
speech context of a frame is computed in a 3 s chunk around it (arXiv 2409.03605, Sec. 3.2); between two
tokens the context is interpolated linearly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from segtalker.audio.mel import MEL_RATE, MEL_SILENCE, mel_steps
from segtalker.audio.source import SampleSource
from segtalker.audio.speech import TOKEN_RATE, num_tokens, speech_tokens

WINDOW_STEPS = 16
"""Mel steps of a window: 0.2 s."""
SYNC_FRAMES = 5
"""Frames of one SyncNet window at the training grid of 25 fps."""
CHUNK_TOKENS = 75
"""Tokens of a context chunk: 3 s."""

_CENTRE_LEAD = Fraction(2, 25)  # the window begins two training frames before the frame that it is centred on


def mel_window_start(time: Fraction) -> int:
    """First of the 16 mel steps centred on the frame at `time`; negative near the start of the speech."""
    return math.floor((time - _CENTRE_LEAD) * MEL_RATE + Fraction(1, 2))


def sync_window_start(time: Fraction, frames: int = SYNC_FRAMES) -> int:
    """First of the 16 mel steps of the training-grid frames from `time` on.

    Five frames last exactly 16 steps; of a longer or shorter window the middle 0.2 s are taken.
    """
    return math.floor((time + Fraction(frames - SYNC_FRAMES, 2 * TOKEN_RATE)) * MEL_RATE)


def token_position(time: Fraction) -> tuple[int, Fraction]:
    """Token index and fraction towards the next token at `time`."""
    position = time * TOKEN_RATE
    index = math.floor(position)
    return index, position - index


def chunk_start(token: int, total_tokens: int) -> int:
    """First token of the 3 s chunk around `token`; chunks stay inside the speech where it is long enough."""
    return max(0, min(token - CHUNK_TOKENS // 2, total_tokens - CHUNK_TOKENS))


@dataclass(frozen=True)
class ContextPlan:
    """Which context chunks a list of N frame times needs, and where each frame reads in them."""

    chunk_starts: NDArray[np.int64]
    """[K] first token of each different chunk, ascending."""
    chunk: NDArray[np.int64]
    """[N] index into the chunks."""
    token: NDArray[np.int64]
    """[N, 2] the two tokens inside the chunk between which the frame lies."""
    weight: NDArray[np.float32]
    """[N] share of the second token, 0..1."""


def plan_context(times: Sequence[Fraction], total_tokens: int) -> ContextPlan:
    """Chunks and interpolation weights for frames at `times` of a speech of `total_tokens`.

    Frames before the first or after the last token read that token.
    """
    last = max(total_tokens - 1, 0)
    starts, pairs, weights = [], [], []
    for time in times:
        index, fraction = token_position(time)
        inside = 0 <= index <= last
        index = min(max(index, 0), last)
        start = chunk_start(index, total_tokens)
        starts.append(start)
        pairs.append((index - start, min(index + 1, last, start + CHUNK_TOKENS - 1) - start))
        weights.append(float(fraction) if inside else 0.0)
    chunk_starts, chunk = np.unique(np.array(starts, np.int64), return_inverse=True)
    token = np.array(pairs, np.int64).reshape(-1, 2)
    return ContextPlan(chunk_starts, chunk.astype(np.int64).ravel(), token, np.array(weights, np.float32))


def mel_windows(mel: NDArray[np.floating], starts: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float32]:
    """Windows [N, 80, 16] of a whole spectrogram `mel` [M, 80]; steps outside it are silence (-4)."""
    steps = np.asarray(starts, np.int64)[:, None] + np.arange(WINDOW_STEPS)
    outside = (steps < 0) | (steps >= len(mel))
    silence = np.full((1, mel.shape[1]), MEL_SILENCE, np.float32)
    padded = np.concatenate([np.asarray(mel, np.float32), silence])
    windows = padded[np.where(outside, len(mel), steps)]
    return np.ascontiguousarray(windows.transpose(0, 2, 1))


def token_chunks(
    tokens: NDArray[np.floating], chunk_starts: Sequence[int] | NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Chunks [K, 75, 104] of the whole speech's `tokens` [T, 104], and what is padding [K, 75].

    Padding is zero and marked True.
    """
    indices = np.asarray(chunk_starts, np.int64)[:, None] + np.arange(CHUNK_TOKENS)
    padding = (indices < 0) | (indices >= len(tokens))
    padded = np.concatenate([np.asarray(tokens, np.float32), np.zeros((1, tokens.shape[1]), np.float32)])
    return padded[np.where(padding, len(tokens), indices)], padding


def read_mel_windows(speech: SampleSource, times: Sequence[Fraction]) -> NDArray[np.float32]:
    """Mel windows [N, 80, 16] of frames at `times`, reading only the samples under them."""
    starts = np.array([mel_window_start(time) for time in times], np.int64)
    if not len(starts):
        return mel_windows(mel_steps(speech, 0, 0), starts)
    first, last = int(starts.min()), int(starts.max()) + WINDOW_STEPS
    return mel_windows(mel_steps(speech, first, last), starts - first)


def read_context(
    speech: SampleSource, times: Sequence[Fraction]
) -> tuple[NDArray[np.float32], NDArray[np.bool_], ContextPlan]:
    """Token chunks [K, 75, 104], their padding [K, 75] and the plan for frames at `times`."""
    total = num_tokens(speech.num_samples)
    plan = plan_context(times, total)
    if not len(plan.chunk_starts):
        return *token_chunks(speech_tokens(speech, 0, 0), plan.chunk_starts), plan
    first = int(plan.chunk_starts.min())
    last = min(int(plan.chunk_starts.max()) + CHUNK_TOKENS, total)
    chunks, padding = token_chunks(speech_tokens(speech, first, last), plan.chunk_starts - first)
    return chunks, padding, plan
