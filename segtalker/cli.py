"""The `segtalker` command: one table of verbs, each a thin call into the library.

Exit codes: 0 done, 130 interrupted, otherwise the code of the error (see `segtalker.errors`).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import segtalker
from segtalker import (
    cli_batch,
    cli_directions,
    cli_edit,
    cli_evaluate,
    cli_inspect,
    cli_prepare,
    cli_verify,
    cli_weights,
)
from segtalker.cli_arguments import add_overrides
from segtalker.errors import SegTalkerError, StorageError

Parser = argparse.ArgumentParser
Arguments = argparse.Namespace

TRAININGS = ("speech", "syncnet", "tsg", "sgi", "parsing_unet", "identity")
"""What `segtalker train` trains, in the order in which networks need each other."""


@dataclass(frozen=True)
class Command:
    """One verb: what it says of itself, its arguments, and what it does."""

    summary: str
    example: str
    add_arguments: Callable[[Parser], None]
    run: Callable[[Arguments], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; a mistake of the user becomes one line on standard error."""
    arguments = build_parser().parse_args(argv)
    try:
        return COMMANDS[arguments.command].run(arguments)
    except SegTalkerError as error:
        print(f"segtalker {arguments.command}: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        if error.filename is None:
            raise
        print(f"segtalker {arguments.command}: {error.filename}: {error.strerror}.", file=sys.stderr)
        return StorageError.exit_code
    except KeyboardInterrupt:
        print(
            f"segtalker {arguments.command}: stopped; run the same command again to go on.", file=sys.stderr
        )
        return 130


def build_parser() -> Parser:
    """The whole command line."""
    parser = Parser(
        prog="segtalker",
        description="Make a person in a video say other speech, through face segmentation.",
        epilog="segtalker COMMAND --help explains one command.",
    )
    parser.add_argument("--version", action="version", version=f"segtalker {segtalker.__version__}")
    verbs = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        verb = verbs.add_parser(
            name,
            help=command.summary,
            description=command.summary,
            epilog=f"example: {command.example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_arguments(verb)
    return parser


def _dub_arguments(parser: Parser) -> None:
    parser.add_argument("video", type=Path, help="video or still portrait of the person")
    parser.add_argument("speech", type=Path, help="what the person shall say: any audio or video file")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the dubbed video (.mp4)")
    parser.add_argument(
        "--adapt", type=int, metavar="STEPS", help="fit the renderer to this clip first (try 100)"
    )
    parser.add_argument(
        "--speaker",
        metavar="WHO",
        help="largest (default) | index:N (0 is the leftmost) | point:X,Y (px) | photo:FILE | track:ID",
    )
    parser.add_argument(
        "--sync-mode",
        choices=("cut_off", "loop", "bounce", "silence", "remap"),
        help="when lengths differ: cut_off (default) stops at the shorter; loop or bounce repeats the video; "
        "silence pads the speech; remap retimes the video",
    )
    parser.add_argument(
        "--save-maps", action="store_true", help="also write source | map | talking map | result"
    )
    parser.add_argument("--work-dir", type=Path, help="keep the analysis and finished segments here")
    parser.add_argument(
        "--config", type=Path, help="YAML file with any of the settings; OUTPUT.report.json lists all"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    cli_edit.add_edits(parser)
    add_overrides(parser, "render.batch=4")


def _dub(arguments: Arguments) -> int:
    from segtalker.config import load_config
    from segtalker.pipeline import DubConfig, SegTalker

    overrides = list(arguments.overrides)
    if arguments.adapt is not None:
        overrides.append(f"adapt.steps={arguments.adapt}")
    if arguments.speaker is not None:
        overrides.append(f"speaker={json.dumps(arguments.speaker)}")
    if arguments.sync_mode is not None:
        overrides.append(f"sync_mode={arguments.sync_mode}")
    if arguments.save_maps:
        overrides.append("save_maps=true")
    config = cli_edit.with_edits(load_config(DubConfig, arguments.config, overrides), arguments.edits)
    report = SegTalker(config).dub(
        arguments.video,
        arguments.speech,
        arguments.output,
        work_dir=arguments.work_dir,
        quiet=arguments.quiet,
    )
    print(report.summary())
    return 0


def _train_arguments(parser: Parser) -> None:
    parser.add_argument("network", choices=TRAININGS, help="what to train")
    parser.add_argument("config", type=Path, help="YAML file, as in configs/mini/tsg.yaml")
    parser.add_argument(
        "--out", type=Path, help="run folder (default: runs/NETWORK-CONFIGHASH); resumes if it exists"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    add_overrides(parser, "run.max_steps=1000")


def _train(arguments: Arguments) -> int:
    from segtalker.training.run import train

    weights = train(
        arguments.network, arguments.config, arguments.overrides, out=arguments.out, quiet=arguments.quiet
    )
    print(f"weights: {weights}")
    return 0


def _synth_arguments(parser: Parser) -> None:
    parser.add_argument(
        "preset", choices=("speech", "voices", "faces", "clips"), help="what to make; see the README"
    )
    parser.add_argument("out", type=Path, help="folder; what is already there is kept and not made again")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    add_overrides(parser, "minutes=60")


def _synth(arguments: Arguments) -> int:
    from segtalker.synthetic.corpus import run_synth

    print(run_synth(arguments.preset, arguments.out, arguments.overrides, quiet=arguments.quiet))
    return 0


def _doctor(arguments: Arguments) -> int:
    from segtalker.doctor import doctor

    return doctor()


def _demo_arguments(parser: Parser) -> None:
    parser.add_argument("--out", type=Path, default=Path("out/demo"), help="folder (default: out/demo)")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def _demo(arguments: Arguments) -> int:
    from segtalker.demo import run_demo

    print(run_demo(arguments.out, quiet=arguments.quiet))
    return 0


COMMANDS: dict[str, Command] = {
    "dub": Command(
        "Make the person in VIDEO say SPEECH.",
        "segtalker dub talk.mp4 speech.wav -o out.mp4 --adapt 100",
        _dub_arguments,
        _dub,
    ),
    "edit": Command(
        "Change a face in a VIDEO or picture, without speech.",
        "segtalker edit talk.mp4 --edit blink=0.2/s,lip=red@0.7 -o out.mp4",
        cli_edit.add_arguments,
        cli_edit.run,
    ),
    "directions": Command(
        "Fit a feature, such as a beard, to two folders of pictures, for recipes of edits.",
        "segtalker directions fit shaved bearded -o beard.safetensors",
        cli_directions.add_arguments,
        cli_directions.run,
    ),
    "inspect": Command(
        "Show what is seen in VIDEOs: regions, mattes, style codes by region and by speaker.",
        "segtalker inspect talk.mp4 other.mp4 --out seen",
        cli_inspect.add_arguments,
        cli_inspect.run,
    ),
    "batch": Command(
        "Dub all rows of a manifest; the same command again goes on.",
        "segtalker batch clips.csv --out dubbed --workers 2",
        cli_batch.add_arguments,
        cli_batch.run,
    ),
    "demo": Command(
        "Dub a real portrait and a synthetic clip with new speech, all made on this machine.",
        "segtalker demo --out out/demo",
        _demo_arguments,
        _demo,
    ),
    "prepare": Command(
        "Turn videos of talking people into shards to train on; the same command again goes on.",
        "segtalker prepare folder videos --out data/videos --workers 2",
        cli_prepare.add_arguments,
        cli_prepare.run,
    ),
    "train": Command(
        "Train a network; the same command again resumes.",
        "segtalker train tsg configs/mini/tsg.yaml --set clips.folder=data/speech",
        _train_arguments,
        _train,
    ),
    "synth": Command(
        "Make synthetic talking heads with exact labels.",
        "segtalker synth speech data/speech --set minutes=60",
        _synth_arguments,
        _synth,
    ),
    "evaluate": Command(
        "Score videos of any method, compare results, or run other methods; the same command again goes on.",
        "segtalker evaluate run --method ours=out/ours --references data/test --out results",
        cli_evaluate.add_arguments,
        cli_evaluate.run,
    ),
    "verify": Command(
        "Say whether a file is marked or signed as synthetic, and what that proves.",
        "segtalker verify out.mp4",
        cli_verify.add_arguments,
        cli_verify.run,
    ),
    "weights": Command(
        "List, fetch, explain or import networks.",
        "segtalker weights fetch faces",
        cli_weights.add_arguments,
        cli_weights.run,
    ),
    "doctor": Command(
        "Say what this machine has and lacks, and how to mend it.",
        "segtalker doctor",
        lambda parser: None,
        _doctor,
    ),
}
