"""The three passes of one dub over one work folder: analyse, render, publish.

Each pass leaves in the folder what the next one needs, and does not do again what is there already. So they
may follow each other in one process, go on after an interruption, or run in several processes that are given
copies of the folder: chunks that are rendered anywhere have the same frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from segtalker.analysis import Analysis, analyse, load_analysis, save_analysis
from segtalker.compositing.plan import Chunk
from segtalker.dub_config import DubConfig
from segtalker.extract import FaceReader
from segtalker.media.audio import Speech, decode_speech, open_speech
from segtalker.media.write import encode_audio, mux
from segtalker.portrait import open_portrait
from segtalker.progress import OnProgress, Progress, StageClock, ignore_progress
from segtalker.render import Painters, Renderer
from segtalker.report import DubReport, make_report, maps_path, report_path
from segtalker.segments import panels_path, render_segments
from segtalker.source import FrameSource, VideoSource
from segtalker.stages import Stages
from segtalker.types import VideoInfo
from segtalker.workspace import Workspace, explain_os_errors, write_atomically


class Passes:
    """One dub: its inputs, its work folder, and the clock of what is done here."""

    def __init__(
        self,
        cfg: DubConfig,
        stages: Stages,
        info: VideoInfo,
        speech: Path,
        work: Workspace,
        tell: OnProgress = ignore_progress,
    ) -> None:
        """info: of the video or picture, by `probe`. The speech is decoded into `work` unless it is there."""
        self.clock = StageClock()
        self._cfg, self._stages, self._work, self._tell = cfg, stages, work, tell
        self._speech = speech
        decoded = work.path("speech.npy")
        with self.clock("audio"):
            self._voice = open_speech(decoded) if decoded.is_file() else decode_speech(speech, decoded)
        self._source = _open_source(info, self._voice, cfg, stages)

    def analyse(self) -> Analysis:
        """Who is where, who speaks, what is done to every frame; the sound of the output as well."""
        known = load_analysis(self._work, self._source.info)
        if known is None:
            known = analyse(
                self._source,
                self._voice,
                self._cfg,
                self._stages.backend,
                self._reader(),
                self._stages.networks,
                self._work,
                self.clock,
                self._tell,
            )
        sound = self._sound
        if not sound.is_file():
            with self.clock("audio"):
                encode_audio(self._speech, sound, known.plan.duration, self._cfg.encode)
        self._work.keep(sound)
        save_analysis(known, self._work)  # last: it says that the others are there, and segments can be shown
        return known

    def render(
        self, analysis: Analysis, chunks: Sequence[Chunk] | None = None, at_once: int = 1
    ) -> tuple[list[Path], int]:
        """The segments of `chunks` (by default of all), and how many of them were there before.

        at_once: chunks on their way at a time, which pays where the stages are elsewhere.
        """
        chunks = analysis.plan.chunks() if chunks is None else chunks
        total = sum(chunk.stop - chunk.start for chunk in chunks)
        return render_segments(
            self._renderer(analysis),
            chunks,
            self._work.path("segments"),
            self._cfg.encode,
            lambda done: self._tell(Progress("rendering", done, total)),
            self._work.keep,
            at_once,
        )

    def publish(
        self, analysis: Analysis, segments: Sequence[Path], output: Path, key: str, reused: int = 0
    ) -> DubReport:
        """Join all segments and the sound under the final name, and put the report beside it.

        key: `SegTalker.run_key`. reused: segments that an earlier run had made.
        """
        plan = analysis.plan
        with self.clock("mux"):
            if self._cfg.save_maps:
                panels = [panels_path(segment) for segment in segments]
                mux(panels, self._sound, maps_path(output), plan.ticks, plan.time_base)
            mux(segments, self._sound, output, plan.ticks, plan.time_base)
        report = make_report(
            self._cfg,
            self._source,
            self._voice,
            self._speech,
            output,
            analysis,
            self._stages.networks,
            self.clock,
            reused,
            key,
        )
        with explain_os_errors(report_path(output)):
            write_atomically(report_path(output), report.to_json())
        return report

    @property
    def _sound(self) -> Path:
        return self._work.path("audio.m4a")

    def _reader(self) -> FaceReader:
        return FaceReader(self._stages.parser, self._stages.networks.painter.size, self.clock)

    def _renderer(self, analysis: Analysis) -> Renderer:
        networks = self._stages.networks
        return Renderer(
            source=self._source,
            analysis=analysis,
            speech=self._voice,
            reader=self._reader(),
            talker=networks.talker,
            painters=Painters(networks.painter, analysis.people),
            cfg=self._cfg.render,
            paste=self._cfg.paste,
            clock=self.clock,
            save_panels=self._cfg.save_maps,
        )


def _open_source(info: VideoInfo, voice: Speech, cfg: DubConfig, stages: Stages) -> FrameSource:
    if not info.is_image:
        return VideoSource(info)
    return open_portrait(info.path, stages.backend, cfg.speaker, voice.duration, cfg.portrait, cfg.seed)
