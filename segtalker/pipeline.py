"""A dub from beginning to end: the story on one page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import segtalker
from segtalker.config import config_hash
from segtalker.dub_config import DubConfig, NetworkConfig
from segtalker.editing.files import files_of, with_files
from segtalker.editing.references import check_references
from segtalker.faces.speaker import parse_speaker
from segtalker.local_stages import LocalStages
from segtalker.media.audio import audio_layout
from segtalker.media.read import probe
from segtalker.passes import Passes
from segtalker.progress import OnProgress, ProgressBar
from segtalker.report import DubReport, maps_path, report_path
from segtalker.stages import Stages
from segtalker.types import VideoInfo
from segtalker.workspace import (
    OnKeep,
    check_output,
    content_digest,
    explain_os_errors,
    open_workspace,
    run_key,
)

__all__ = ["DubConfig", "NetworkConfig", "SegTalker"]


class SegTalker:
    """Makes people in videos say other speech; networks are loaded once and serve many dubs."""

    def __init__(self, config: DubConfig | None = None, stages: Stages | None = None) -> None:
        """Nothing is loaded before the first dub. stages: where networks run; in this process by default."""
        self.config = config or DubConfig()
        self.stages = stages or LocalStages(self.config)

    def dub(
        self,
        video: Path | str,
        speech: Path | str,
        output: Path | str,
        work_dir: Path | str | None = None,
        quiet: bool = False,
        on_progress: OnProgress | None = None,
        on_keep: OnKeep | None = None,
        chunks_at_once: int = 1,
    ) -> DubReport:
        """Make the person in `video`, or in a still portrait, say `speech`.

        output: an .mp4 that appears complete or not at all, with `OUTPUT.report.json` beside it. work_dir:
        keeps the analysis and the finished segments; by default they stand beside the output until it is
        complete, and the same call after an interruption goes on from them. on_progress: in place of a bar
        on the terminal; what it raises ends the dub. on_keep: told of every finished file of the work
        folder. chunks_at_once: pays where the stages are elsewhere; the frames are the same.
        """
        video, speech, output = Path(video), Path(speech), Path(output)
        info = self.check(video, speech, output)
        key = self.run_key(video, speech)
        with (
            explain_os_errors(output if work_dir is None else Path(work_dir)),
            ProgressBar(quiet) as bar,
            open_workspace(output, key, work_dir, on_keep) as work,
        ):
            passes = Passes(self.config, self.stages, info, speech, work, on_progress or bar)
            analysis = passes.analyse()
            segments, reused = passes.render(analysis, at_once=chunks_at_once)
            return passes.publish(analysis, segments, output, key, reused)

    def check(self, video: Path, speech: Path, output: Path) -> VideoInfo:
        """Say what is wrong with files before any work begins; returns what the video is."""
        beside = [report_path(output), *([maps_path(output)] if self.config.save_maps else [])]
        edits = self.config.edits
        check_output(output, beside, (video, speech, *files_of(edits)))
        info, _ = probe(video), audio_layout(speech)
        check_references(edits)
        return info

    def run_key(self, video: Path, speech: Path) -> str:
        """Names everything that the result depends on."""
        cfg, inputs, hashes = self.config, [video, speech], self.stages.networks.hashes.values()
        spec = parse_speaker(cfg.speaker)
        if spec.photo is not None and spec.photo.is_file():  # what is on it counts, not where it lies
            cfg, inputs = replace(cfg, speaker="largest"), [*inputs, spec.photo]
        lent = [path for path in files_of(cfg.edits) if path.is_file()]
        cfg = replace(cfg, edits=with_files(cfg.edits, {path: Path(f"{i}") for i, path in enumerate(lent)}))
        inputs += lent
        return run_key(content_digest(*inputs), config_hash(cfg), *hashes, segtalker.__version__)
