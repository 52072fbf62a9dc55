"""A dub from beginning to end: the story on one page."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import torch

import segtalker
from segtalker.analysis import Analysis, analyse
from segtalker.config import config_hash
from segtalker.dub_config import DubConfig, NetworkConfig
from segtalker.extract import FaceReader
from segtalker.faces.detect import FaceBackend, load_backend
from segtalker.media.audio import Speech, audio_layout, decode_speech
from segtalker.media.read import probe
from segtalker.media.write import encode_audio, mux
from segtalker.parsing.parse import Parser, load_parser
from segtalker.portrait import open_portrait
from segtalker.progress import OnProgress, Progress, ProgressBar, StageClock
from segtalker.render import Painters, Renderer, panels_path, render_segments
from segtalker.report import DubReport, make_report, maps_path, report_path
from segtalker.source import FrameSource, VideoSource
from segtalker.stages import Compute, Networks, load_networks, pick_device
from segtalker.types import VideoInfo
from segtalker.workspace import (
    Workspace,
    check_output,
    content_digest,
    explain_os_errors,
    open_workspace,
    run_key,
    write_atomically,
)

__all__ = ["DubConfig", "NetworkConfig", "SegTalker"]


class SegTalker:
    """Makes people in videos say other speech; networks are loaded once and serve many dubs."""

    def __init__(self, config: DubConfig | None = None, backend: FaceBackend | None = None) -> None:
        """Nothing is loaded before the first dub. backend: finds faces in place of the configured one."""
        self.config = config or DubConfig()
        self._given_backend = backend

    def dub(
        self,
        video: Path | str,
        speech: Path | str,
        output: Path | str,
        work_dir: Path | str | None = None,
        quiet: bool = False,
        on_progress: OnProgress | None = None,
    ) -> DubReport:
        """Make the person in `video`, or in a still portrait, say `speech`.

        output: an .mp4 that appears complete or not at all, with `OUTPUT.report.json` beside it. work_dir:
        keeps the analysis and the finished segments; by default they stand beside the output until it is
        complete, and the same call after an interruption goes on from them. on_progress: in place of a bar
        on the terminal.
        """
        video, speech, output = Path(video), Path(speech), Path(output)
        clock = StageClock()
        beside = [report_path(output), *([maps_path(output)] if self.config.save_maps else [])]
        check_output(output, beside, (video, speech))
        info, _ = probe(video), audio_layout(speech)  # both say what is wrong before any work begins
        with (
            explain_os_errors(output if work_dir is None else Path(work_dir)),
            ProgressBar(quiet) as bar,
            open_workspace(output, self._run_key(video, speech), work_dir) as work,
        ):
            tell = on_progress or bar
            with clock("audio"):
                voice = decode_speech(speech, work.path("speech.npy"))
            source = self._open(info, voice)
            reader = FaceReader(self.backend, self.parser, self.networks.painter.size, clock)
            analysis = analyse(
                source, voice, self.config, self.backend, reader, self.networks, work, clock, tell
            )
            segments, reused = render_segments(
                self._renderer(source, analysis, voice, reader, clock),
                work.path("segments"),
                self.config.encode,
                lambda done: tell(Progress("rendering", done, len(analysis.plan))),
            )
            with clock("mux"):
                self._publish(segments, speech, analysis, output, work)
            report = make_report(
                self.config, source, voice, speech, output, analysis, self.networks, clock, reused
            )
            with explain_os_errors(report_path(output)):
                write_atomically(report_path(output), report.to_json())
        return report

    @cached_property
    def networks(self) -> Networks:
        """Talker and painter on the chosen device."""
        cfg = self.config
        if cfg.threads:
            torch.set_num_threads(cfg.threads)
        compute = Compute(pick_device(cfg.device), cfg.precision, cfg.render.batch)
        return load_networks(cfg.tsg.weights, cfg.sgi.weights, compute)

    @cached_property
    def backend(self) -> FaceBackend:
        """What finds faces."""
        return self._given_backend or load_backend(self.config.faces)

    @cached_property
    def parser(self) -> Parser:
        """What makes region maps of faces."""
        return load_parser(self.config.parsing)

    def _open(self, info: VideoInfo, voice: Speech) -> FrameSource:
        cfg = self.config
        if not info.is_image:
            return VideoSource(info)
        return open_portrait(info.path, self.backend, cfg.speaker, voice.duration, cfg.portrait, cfg.seed)

    def _renderer(
        self, source: FrameSource, analysis: Analysis, voice: Speech, reader: FaceReader, clock: StageClock
    ) -> Renderer:
        return Renderer(
            source=source,
            analysis=analysis,
            speech=voice,
            reader=reader,
            talker=self.networks.talker,
            painters=Painters(self.networks.painter, analysis.people),
            cfg=self.config.render,
            paste=self.config.paste,
            clock=clock,
            save_panels=self.config.save_maps,
        )

    def _publish(
        self, segments: list[Path], speech: Path, analysis: Analysis, output: Path, work: Workspace
    ) -> None:
        """Join segments and sound under the final name."""
        plan, sound = analysis.plan, work.path("audio.m4a")
        encode_audio(speech, sound, plan.duration, self.config.encode)
        if self.config.save_maps:
            panels = [panels_path(segment) for segment in segments]
            mux(panels, sound, maps_path(output), plan.ticks, plan.time_base)
        mux(segments, sound, output, plan.ticks, plan.time_base)

    def _run_key(self, video: Path, speech: Path) -> str:
        """Names everything that the result depends on."""
        hashes = self.networks.hashes.values()
        return run_key(
            content_digest(video, speech), config_hash(self.config), *hashes, segtalker.__version__
        )
