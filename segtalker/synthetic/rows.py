"""The videos of a synthetic corpus (`segtalker synth clips`) as rows of a manifest."""

from __future__ import annotations

from pathlib import Path

from segtalker.config import load_config
from segtalker.data.manifest import ClipRow, unique_rows
from segtalker.errors import DataError
from segtalker.synthetic.plan import SynthConfig, plan_parts


def corpus_rows(folder: Path) -> list[ClipRow]:
    """A row for every finished clip; people, splits and voices are those of the corpus, phones its labels."""
    config = folder / "corpus.yaml"
    if not config.is_file():
        raise DataError(f"{config}: no such file. Make videos with 'segtalker synth clips {folder}'.")
    cfg = load_config(SynthConfig, config)
    if cfg.preset != "clips":
        raise DataError(f"{folder}: a corpus of '{cfg.preset}' is prepared already; train on it as it is.")
    rows = []
    for name, clips in plan_parts(cfg).items():
        for clip in clips:
            video, labels = (folder / name / f"{clip.key}{suffix}" for suffix in (".mp4", ".json"))
            if labels.is_file():  # written after the video
                rows.append(
                    ClipRow(
                        clip=clip.key,
                        source=str(video),
                        identity=f"synthetic-{clip.identity}",
                        split=clip.split,
                        dataset="synthetic",
                        voice=clip.voice.key,
                        engine=clip.voice.engine,
                        labels=str(labels),
                    )
                )
    if not rows:
        raise DataError(f"{folder}: none of its clips is finished. Run 'segtalker synth clips' to its end.")
    return unique_rows(rows)
