"""The verb `segtalker evaluate`: score videos of any method, compare results, run other methods."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from segtalker.cli_arguments import add_overrides
from segtalker.errors import ConfigError

if TYPE_CHECKING:
    from segtalker.evaluation.driven import OpenDubbers
    from segtalker.evaluation.run import Runner

Parser = argparse.ArgumentParser
Arguments = argparse.Namespace


def add_arguments(parser: Parser) -> None:
    """One sub-command for each thing that can be done."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, meaning, add in (
        ("run", "score videos of one or several methods under one protocol", add_run_arguments),
        (
            "self",
            "dub the test clips of a prepared folder with their own speech, and score",
            add_driven_arguments,
        ),
        ("cross", "dub them with the speech of others, and score", add_driven_arguments),
        ("compare", "tell two results apart, video by video", _add_compare_arguments),
        ("methods", "run the command line of another method on a manifest", _add_methods_arguments),
    ):
        add(actions.add_parser(name, help=meaning, description=f"{meaning[0].upper()}{meaning[1:]}."))


def add_run_arguments(parser: Parser) -> None:
    """What is scored, here and on a cluster."""
    add_method_argument(parser, required=True)
    for name, meaning in (
        ("references", "folder of the true videos, named like the outputs"),
        ("sources", "folder of the videos that the methods were given (default: the references)"),
        ("speech", "folder of what the outputs should say (default: their own sound)"),
        ("labels", "folder of JSON files with phones [[label, start, end]]"),
    ):
        parser.add_argument(f"--{name}", default="", metavar="FOLDER", help=meaning)
    add_scoring_arguments(parser)


def add_method_argument(parser: Parser, required: bool) -> None:
    """Outputs of methods."""
    parser.add_argument(
        "--method",
        dest="methods",
        action="append",
        default=[],
        required=required,
        metavar="NAME=PLACE",
        help="a row of the table, and its videos: a folder or bucket, or a manifest of pairs (.jsonl, .csv, "
        ".parquet with id, output, reference, source, speech, labels); may be repeated",
    )


def add_scoring_arguments(parser: Parser) -> None:
    """How anything is scored."""
    parser.add_argument(
        "--out", required=True, help="folder or bucket of the result; the same command again goes on"
    )
    parser.add_argument("--protocol", type=Path, help="YAML file of the protocol, as OUT/protocol.yaml")
    parser.add_argument("--workers", type=int, default=1, help="processes (default: 1); about 1 GB each")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    add_overrides(parser, "max_frames=250")


def add_driven_arguments(parser: Parser) -> None:
    """What is cut, dubbed and scored, here and on a cluster."""
    parser.add_argument("data", help="folder or bucket that 'segtalker prepare' made")
    parser.add_argument(
        "--split", default="test", help="split of the clips, or several: one,other (default: test)"
    )
    parser.add_argument("--clips", type=int, default=0, metavar="N", help="at most N clips (default: all)")
    parser.add_argument(
        "--seconds", type=float, default=0.0, metavar="S", help="the first S seconds of each (default: all)"
    )
    parser.add_argument("--seed", type=int, default=0, help="draws clips, and who says what (default: 0)")
    parser.add_argument(
        "--variant",
        dest="variants",
        action="append",
        metavar="NAME[:KEY=VALUE;...]",
        help="a row of ours, dubbed with these settings; may be repeated, as for ablations "
        "(default: segtalker, and for 'self' also a row without detail transfer)",
    )
    parser.add_argument("--dub-config", type=Path, help="YAML file with settings of all dubs")
    parser.add_argument(
        "--dub-set", dest="dub_overrides", action="append", default=[], metavar="KEY=VALUE",
        help="change one setting of all dubs, as in --dub-set adapt.steps=100; may be repeated",
    )  # fmt: skip
    add_method_argument(parser, required=False)
    add_scoring_arguments(parser)


def _add_compare_arguments(parser: Parser) -> None:
    parser.add_argument("first", help="a result: OUT of 'evaluate run'")
    parser.add_argument("second", help="another one, or the same to compare two of its methods")
    parser.add_argument(
        "--methods", nargs=2, metavar=("FIRST", "SECOND"), help="which, where a result holds several"
    )
    parser.add_argument("--worst", type=int, default=5, help="videos to name that got worst (default: 5)")
    parser.add_argument("--out", help="folder for compare.md, compare.csv and compare.html")


def _add_methods_arguments(parser: Parser) -> None:
    parser.add_argument("method", help="a name of configs/methods (wav2lip, ip_lap, ...), or a YAML file")
    parser.add_argument("manifest", help="rows of id, video and speech, as for 'segtalker batch'")
    parser.add_argument("--out", type=Path, required=True, help="folder of the videos, ID.mp4, and of logs")
    parser.add_argument("--checkout", type=Path, help="folder with the method's own code and weights")
    parser.add_argument("--python", help="interpreter of the method's own environment")
    parser.add_argument("--overwrite", action="store_true", help="replace videos made of something else")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    add_overrides(parser, "timeout_s=600")


def run(arguments: Arguments, runner: Runner | None = None, open_dubbers: OpenDubbers | None = None) -> int:
    """Do what the arguments say; prints what came of it. runner, open_dubbers: score and dub elsewhere."""
    if arguments.action == "compare":
        return _compare(arguments)
    if arguments.action == "methods":
        return _methods(arguments)
    if arguments.action in ("self", "cross"):
        return _drive(arguments, runner, open_dubbers)
    return _run(arguments, runner)


def _run(arguments: Arguments, runner: Runner | None) -> int:
    from segtalker.config import load_config
    from segtalker.evaluation.protocol import EvalProtocol
    from segtalker.evaluation.run import evaluate, run_processes, summary
    from segtalker.evaluation.tasks import Truth, plan_tasks
    from segtalker.progress import ProgressBar

    protocol = load_config(EvalProtocol, arguments.protocol, arguments.overrides)
    truth = Truth(arguments.references, arguments.sources, arguments.speech, arguments.labels)
    tasks = plan_tasks(named_places(arguments.methods), truth)
    with ProgressBar(arguments.quiet) as bar:
        result = evaluate(tasks, protocol, arguments.out, arguments.workers, bar, runner or run_processes)
    print(summary(result, arguments.out))
    return 0


def _drive(arguments: Arguments, runner: Runner | None, open_dubbers: OpenDubbers | None) -> int:
    from segtalker.config import load_config
    from segtalker.dub_config import DubConfig
    from segtalker.evaluation.driven import drive
    from segtalker.evaluation.drives import DrivenConfig
    from segtalker.evaluation.protocol import EvalProtocol
    from segtalker.evaluation.run import run_processes, summary
    from segtalker.progress import ProgressBar
    from segtalker.storage import is_local, local_path

    if not is_local(arguments.out):
        raise ConfigError(
            f"--out {arguments.out}: clips are cut into a folder; name one that all workers see."
        )
    cfg = DrivenConfig(
        kind=arguments.action,
        split=arguments.split,
        clips=arguments.clips,
        seconds=arguments.seconds,
        seed=arguments.seed,
        variants=None if arguments.variants is None else _variants(arguments.variants),
    )
    out = local_path(arguments.out).absolute()
    with ProgressBar(arguments.quiet) as bar:
        result = drive(
            arguments.data,
            out,
            cfg,
            load_config(EvalProtocol, arguments.protocol, arguments.overrides),
            load_config(DubConfig, arguments.dub_config, arguments.dub_overrides),
            open_dubbers or _dubbers_here(arguments.workers),
            named_places(arguments.methods),
            arguments.workers,
            bar,
            runner or run_processes,
        )
    print(summary(result, out))
    return 0


def _dubbers_here(workers: int) -> OpenDubbers:
    from segtalker.batch.local import LocalWorkers

    return lambda rows, cfg, batch, out: LocalWorkers(cfg, batch, out, max(1, min(workers, len(rows))))


def _variants(texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """NAME or NAME:KEY=VALUE;KEY=VALUE, each name once."""
    found: dict[str, tuple[str, ...]] = {}
    for text in texts:
        name, _, settings = text.partition(":")
        if not name.strip() or name.strip() in found:
            raise ConfigError(f"--variant {text}: each needs a name of its own, as in 'no detail:a.b=c'.")
        found[name.strip()] = tuple(item.strip() for item in settings.split(";") if item.strip())
    return found


def named_places(texts: Sequence[str]) -> dict[str, str]:
    """NAME=PLACE, each name once."""
    places: dict[str, str] = {}
    for text in texts:
        name, separator, place = text.partition("=")
        if not separator or not name.strip() or not place:
            raise ConfigError(f"--method {text}: expected NAME=PLACE, as in --method ours=out/ours.")
        if name.strip() in places:
            raise ConfigError(f"--method {text}: '{name.strip()}' is named twice. Give each its own name.")
        places[name.strip()] = place
    return places


def _compare(arguments: Arguments) -> int:
    from segtalker.evaluation.compare import compare, names_of
    from segtalker.evaluation.comparison_page import to_markdown, write_comparison
    from segtalker.evaluation.results import read_evaluation

    names = names_of(arguments.first, arguments.second)
    first, second = (read_evaluation(place) for place in (arguments.first, arguments.second))
    methods = tuple(arguments.methods or (None, None))
    found = compare((names[0], first), (names[1], second), methods, arguments.worst)
    print(to_markdown(found), end="")
    if arguments.out:
        write_comparison(found, arguments.out)
    return 0


def _methods(arguments: Arguments) -> int:
    from segtalker.batch.rows import placed, read_rows
    from segtalker.evaluation.method import load_method
    from segtalker.evaluation.other_methods import PAIRS_NAME, ready, run_method
    from segtalker.progress import ProgressBar

    method = ready(load_method(arguments.method, arguments.overrides), arguments.checkout, arguments.python)
    rows = read_rows(arguments.manifest, placed(str(arguments.out), "."))
    with ProgressBar(arguments.quiet) as bar:
        outcomes = run_method(method, rows, arguments.out, arguments.overwrite, bar)
    failed = [outcome for outcome in outcomes if outcome.state == "failed"]
    print(
        f"{method.cfg.name}: {len(outcomes) - len(failed)} of {len(outcomes)} videos are in {arguments.out}"
    )
    for outcome in failed[:5]:
        print(f"  failed: {outcome.id}: {outcome.reason}")
    name = method.cfg.name
    print(f"score them: segtalker evaluate run --method {name}={arguments.out / PAIRS_NAME} --out RESULT")
    return 0
