"""What a window of a pair adds to the figures of its video, one function a kind of figure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray

from segtalker.audio.mel import mel_steps
from segtalker.audio.windows import WINDOW_STEPS, sync_window_start
from segtalker.evaluation.figures import VideoFigures
from segtalker.evaluation.protocol import RATE, EvalProtocol
from segtalker.evaluation.sets import SetFigures
from segtalker.evaluation.tools import Tools
from segtalker.evaluation.voice import Voice
from segtalker.evaluation.window import Side, Window
from segtalker.faces.points68 import MOUTH, NUM_POINTS
from segtalker.losses.perceptual import feature_distance
from segtalker.metrics.frechet import CLIP_FRAMES, Moments, picture_features, video_features
from segtalker.metrics.image import psnr_between, ssim
from segtalker.metrics.landmarks import landmark_distance
from segtalker.metrics.likeness import crop_embeddings, csim
from segtalker.metrics.mean import Mean
from segtalker.metrics.mini import random_features
from segtalker.metrics.motion import alternation
from segtalker.metrics.perceptual import lpips_between
from segtalker.metrics.seams import change_seam
from segtalker.metrics.segmentation import confusion, jitter, lower_half
from segtalker.metrics.sync import SHIFTS, curve_of_windows, inner_windows
from segtalker.metrics.sync_scores import face_curve_of_windows, num_face_windows
from segtalker.models.frozen.syncnet_v2 import FACE_SIZE
from segtalker.models.frozen.syncnet_v2 import WINDOW as FACE_WINDOW
from segtalker.regions import Region
from segtalker.training.sgi_step import to_float


@dataclass(frozen=True)
class Meter:
    """Measures windows of one video."""

    protocol: EvalProtocol
    tools: Tools
    voice: Voice
    frames: int
    """Of the grid that are scored in all."""
    shown: frozenset[int] = frozenset()
    """As `Pair.shown`: they take no part in what compares output and reference frame by frame."""

    def measure(self, window: Window) -> tuple[VideoFigures, SetFigures]:
        """All that the core of a window adds."""
        means = dict(self._means(window))
        found = VideoFigures(
            self.tools.measured(self.protocol), len(window.core), {k: v for k, v in means.items() if v.count}
        )
        wants = self.protocol.wants
        if wants("miou") and window.has_reference:
            found += VideoFigures(pixels=self._pixels(window))
        if wants("expert"):
            found += self._expert(window)
        if wants("sync"):
            found += self._sync(window)
        if wants("opening"):
            found += self._openings(window)
        return found, self._sets(window)

    def _means(self, window: Window) -> Iterator[tuple[str, Mean]]:
        wants = self.protocol.wants
        yield "coverage", _coverage(window)
        if wants("flicker"):
            yield from _motion(window)
        if wants("seam"):
            yield "seam", _seam(window)
        if not window.has_reference:
            return
        if wants("landmarks"):
            yield from self._landmarks(window)
        at = self._both(window)
        made, true = window.output.crops[at], window.reference.crops[at]
        if wants("image"):
            yield "psnr", Mean.of([psnr_between(*pair) for pair in zip(made, true, strict=True)])
            yield "ssim", Mean.of([ssim(*pair) for pair in zip(made, true, strict=True)])
        if self.tools.published.lpips is not None and wants("lpips"):
            yield "lpips", lpips_between(self.tools.published.lpips, made, true)
        if self.tools.published.embedder is not None and wants("csim") and len(at):
            seen = [crop_embeddings(self.tools.published.embedder, crops) for crops in (made, true)]
            yield "csim", csim(*seen)
        if wants("mini"):
            yield from self._stand_ins(window, at)

    def _compared(self, window: Window) -> NDArray[np.bool_]:
        """[core] frames whose true picture the method was not shown."""
        return np.array([frame not in self.shown for frame in window.core], np.bool_)

    def _both(self, window: Window) -> NDArray[np.int64]:
        """Frames of the window, in its core, that are compared and have both crops."""
        known = (window.output.shots >= 0) & (window.reference.shots >= 0)
        return np.flatnonzero(known[window.inner] & self._compared(window)) + window.inner.start

    def _pixels(self, window: Window) -> NDArray[np.int64]:
        inner = window.inner
        known = window.output.parsed[inner] & window.reference.parsed[inner] & self._compared(window)
        return confusion(
            lower_half(window.output.maps[inner][known]), lower_half(window.reference.maps[inner][known])
        )

    def _landmarks(self, window: Window) -> Iterator[tuple[str, Mean]]:
        """F-LMD and M-LMD; frames in which either face is not seen take no part."""
        made, true = (self._points(side)[window.inner] for side in (window.output, window.reference))
        made[~self._compared(window)] = np.nan
        unit = self.protocol.size / self.protocol.landmark_size
        for name, part in (("f_lmd", slice(None)), ("m_lmd", MOUTH)):
            for suffix, centred in (("", False), ("_centred", True)):
                yield name + suffix, landmark_distance(made[:, part], true[:, part], centred, unit)

    def _points(self, side: Side) -> NDArray[np.float32]:
        """The 68 points of every frame [T, 68, 2], px of the crop; NaN without a face."""
        found = np.full((len(side.shots), NUM_POINTS, 2), np.nan, np.float32)
        for at in np.flatnonzero(side.faces):
            look = side.look(int(at))
            if look.crop is not None and look.face is not None:
                found[at] = self.tools.backend.landmarks68(look.crop, look.face)
        return found

    @torch.inference_mode()
    def _stand_ins(self, window: Window, at: NDArray[np.int64]) -> Iterator[tuple[str, Mean]]:
        if (unet := self.tools.parsing_unet) is not None:
            distances = []
            for i in at:
                pair = (side.crops[i : i + 1] for side in (window.output, window.reference))
                levels = [unet.features(to_float(torch.from_numpy(x), unet.cfg.input_size)) for x in pair]
                distances.append(float(feature_distance(*levels)))
            yield "perceptual_mini", Mean.of(distances)
        if (net := self.tools.identity) is not None:
            known = at[window.output.parsed[at] & window.reference.parsed[at]]
            if len(known):
                seen = [
                    net(_blanked(side, known)).cpu().numpy() for side in (window.output, window.reference)
                ]
                yield "id_mini", csim(*seen)

    def _expert(self, window: Window) -> VideoFigures:
        net, speech = self.tools.expert, self.voice.speech
        if net is None or speech is None:
            return VideoFigures()
        inner = inner_windows(self.frames, net.cfg.window)
        starts = window.stretches(window.output.parsed, 0, net.cfg.window - 1)
        starts = starts[(starts >= inner.start) & (starts < inner.stop)]
        if not len(starts):
            return VideoFigures()
        ends = (int(starts[0]) - SHIFTS, int(starts[-1]) + SHIFTS)
        first, last = (sync_window_start(Fraction(frame, RATE), net.cfg.window) for frame in ends)
        mel = mel_steps(speech, first, last + WINDOW_STEPS)
        return VideoFigures(
            expert=curve_of_windows(net, window.output.maps, starts, mel, window.first, first)
        )

    def _sync(self, window: Window) -> VideoFigures:
        net, speech = self.tools.published.sync, self.voice.speech
        if net is None or speech is None:
            return VideoFigures()
        count = num_face_windows(self.frames, speech.num_samples)
        starts = window.stretches(window.output.shots >= 0, 0, FACE_WINDOW - 1)
        starts = starts[starts < count]
        if not len(starts):
            return VideoFigures()
        unseen = np.zeros((FACE_SIZE, FACE_SIZE, 3), np.uint8)  # in no window that counts
        views = [seen.output.view for seen in window.frames]
        shown = np.stack([unseen if view is None else view for view in views])
        return VideoFigures(sync=face_curve_of_windows(net, shown, starts, speech, count, window.first))

    def _openings(self, window: Window) -> VideoFigures:
        inner, core = window.inner, slice(window.core.start, window.core.stop)
        made, true = window.output.openings[inner], window.reference.openings[inner]
        given = window.source.openings[inner]
        others = {"reference": true, "source": given}
        if self.voice.opening is not None:
            others["labels"] = self.voice.opening[core]
        pairs = {name: np.stack([made, other], axis=1) for name, other in others.items()}
        moments = {name: Moments.of(pair[np.isfinite(pair).all(axis=1)]) for name, pair in pairs.items()}
        flags = {"silent": self.voice.silent, "spoken": self.voice.spoken, "closed": self.voice.closed,
                 "vowel": self.voice.vowel}  # fmt: skip
        means = {f"opening_{name}": Mean.of(made[f[core]]) for name, f in flags.items() if f is not None}
        if self.voice.silent is not None:
            went_on = given if window.has_source else true
            means["source_opening_silent"] = Mean.of(went_on[self.voice.silent[core]])
        return VideoFigures(
            means={name: mean for name, mean in means.items() if mean.count},
            openings={name: found for name, found in moments.items() if found.count},
        )

    def _sets(self, window: Window) -> SetFigures:
        """Moments of what networks see in the output and in the true pictures: reference, or else source."""
        true = window.reference if window.has_reference else window.source
        parts = [self._moments(window, side) for side in (window.output, true)]
        return SetFigures(*(moments for pair in zip(*parts, strict=True) for moments in pair))

    def _moments(self, window: Window, side: Side) -> tuple[Moments, Moments, Moments]:
        nets, wants = self.tools.published, self.protocol.wants
        shown = side.crops[window.inner][side.shots[window.inner] >= 0]
        pictures = clips = mini = Moments()
        if nets.fid is not None and wants("fid") and len(shown):
            pictures = Moments.of(picture_features(nets.fid, shown))
        if self.tools.random is not None and wants("mini") and len(shown):
            mini = Moments.of(random_features(self.tools.random, shown))
        if nets.fvd is not None and wants("fvd"):
            for run in side.runs(side.shots >= 0):
                for at in run:
                    frame = window.first + at
                    whole = frame in window.core and frame % CLIP_FRAMES == 0 and at + CLIP_FRAMES <= run.stop
                    if whole and frame + CLIP_FRAMES <= self.frames:
                        clips += Moments.of(video_features(nets.fvd, side.crops[at : at + CLIP_FRAMES]))
        return pictures, clips, mini


def _coverage(window: Window) -> Mean:
    found = window.output.faces[window.inner]
    return Mean.of(found[window.reference.faces[window.inner]] if window.has_reference else found)


def _motion(window: Window) -> Iterator[tuple[str, Mean]]:
    """Means over triples of frames of one shot whose middle is in the core."""
    sides = [window.output, *([window.reference] if window.has_reference else [])]
    known = np.logical_and.reduce([side.shots >= 0 for side in sides])
    middles = window.stretches(known, 1, 1) - window.first
    for name, side in zip(("flicker_output", "flicker_reference"), sides, strict=False):
        yield name, Mean.of([alternation(side.crops[at - 1 : at + 2])[0] for at in middles])
    middles = window.stretches(window.output.parsed, 1, 1) - window.first
    yield "jitter", Mean.of([jitter(window.output.maps[at - 1 : at + 2])[0] for at in middles])


def _seam(window: Window) -> Mean:
    pairs = [(seen.before, seen.output.crop) for seen in window.frames[window.inner]]
    return Mean.of(
        [change_seam(given, made) for given, made in pairs if given is not None and made is not None]
    )


def _blanked(side: Side, at: NDArray[np.int64]) -> torch.Tensor:
    """Pictures [N, 3, M, M] in [-1, 1] with a grey background, as the identity network has learned."""
    inside = torch.from_numpy(side.maps[at] != Region.BACKGROUND)[:, None]
    return to_float(torch.from_numpy(side.crops[at]), inside.shape[-1]) * inside
