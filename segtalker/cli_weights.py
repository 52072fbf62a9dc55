"""The verb `segtalker weights`: which networks there are, and how published ones come in."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from segtalker.errors import ConfigError, WeightsError

if TYPE_CHECKING:
    from segtalker.weights.importing import Imported

Parser = argparse.ArgumentParser

_START = "segtalker weights import {path} --as sgi --for configs/paper/sgi.yaml -o start.safetensors"
_USES = {
    "generator": _START,
    "style_encoder": f"{_START} (after a generator: --onto its start)",
    "identity": f"the identity loss finds it; {_START}",
    "sgi": "segtalker train sgi CONFIG --set start_from={path}",
    "syncnet": "segtalker train syncnet CONFIG --set start_from={path}",
    "lip_expert": "segtalker weights import {path} --as syncnet --for configs/paper/syncnet.yaml "
    "-o start.safetensors",
    "speech": "segtalker train tsg CONFIG --set speech={path}",
}
"""What a user does next with what was imported."""


def add_arguments(parser: Parser) -> None:
    """One sub-command an action."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="every network: what it is, whether it is here, how to get it")
    info = actions.add_parser("info", help="all about one network, or what a file is; nothing is written")
    info.add_argument("what", help="a name or a group from `segtalker weights list`, or a file of any name")
    _add_fetch(actions.add_parser("fetch", help="fetch published networks into the cache"))
    _add_import(actions.add_parser("import", help="turn a published file that you have into one of ours"))
    verify = actions.add_parser("verify", help="read all that is in the cache and compare the hashes")
    verify.add_argument("names", nargs="*", metavar="NAME", help="only these names or groups")
    where = actions.add_parser("where", help="print the path of a network; fails if it is not here")
    where.add_argument("name", help="a name from `segtalker weights list`")


def _add_fetch(parser: Parser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = (
        "Downloads published networks, checks them and puts them into the cache ($SEGTALKER_CACHE or\n"
        "~/.cache/segtalker), for most as safetensors; nothing in a file is run. Their terms are shown\n"
        "first, and those that restrict use must be accepted. What is there already stays; a download\n"
        "that was stopped goes on when the same command is given again."
    )
    parser.epilog = (
        "examples: segtalker weights fetch faces\n"
        "          segtalker weights fetch irse50 lpips_alex --accept-licence\n"
        "          segtalker weights fetch metrics --accept-licence --from s3://bucket/weights\n"
        "          segtalker weights fetch avhubert_base --accept-licence --from /mnt/mirror --offline\n"
        "Proxies are those of the environment (HTTPS_PROXY)."
    )
    parser.add_argument(
        "names", nargs="+", metavar="NAME", help="names or groups from `segtalker weights list`"
    )
    parser.add_argument(
        "--accept-licence",
        action="store_true",
        help="you have read the terms that this command and `weights info` show, and accept them",
    )
    parser.add_argument(
        "--from",
        dest="mirror",
        metavar="MIRROR",
        help="take the files, under their published names, from this folder, https:// or s3:// address, or "
        "from this very file; $SEGTALKER_WEIGHTS_MIRROR is asked before the publishers",
    )
    parser.add_argument(
        "--offline",
        action="store_true",
        help="touch no network, as with SEGTALKER_OFFLINE=1: only a mirror on a disk is read",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def _add_import(parser: Parser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = (
        "Recognises a network by its keys, whatever the file is called, and writes it as safetensors with\n"
        "its configuration and licence inside; packs that are used as published are known by their hash.\n"
        "Nothing in the file is run. Known are the networks of `segtalker weights list`, in all layouts in\n"
        "which they are published. With --as and --for it makes the start of a training instead."
    )
    parser.epilog = (
        "examples: segtalker weights import 79999_iter.pth\n"
        "          segtalker weights import stylegan2-ffhq-1024x1024.pkl --as sgi \\\n"
        "              --for configs/paper/sgi.yaml -o start.safetensors\n"
        "          segtalker weights import psp_ffhq_encode.pt --as sgi --for configs/paper/sgi.yaml \\\n"
        "              --onto start.safetensors -o start_with_encoder.safetensors\n"
        "FILE may be one of ours too, such as what `segtalker weights where NAME` prints."
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="such as .pt, .pth, .pkl, .safetensors, .zip")
    parser.add_argument(
        "--as",
        dest="network",
        metavar="NETWORK",
        help="which network, where a file holds several (`segtalker weights info FILE` names them); sgi, "
        "discriminator or syncnet with --for: the start of a training",
    )
    parser.add_argument(
        "--for",
        dest="training",
        type=Path,
        metavar="TRAINING.yaml",
        help="the training to fit; what the file lacks begins at random",
    )
    parser.add_argument("--onto", type=Path, metavar="START", help="... or as in this earlier start of SGI")
    parser.add_argument("--group", help="which copy, as in g for the network that g_ema averages")
    parser.add_argument("-o", "--out", type=Path, help="default: its place in the cache, if it is published")
    parser.add_argument("--each", action="store_true", help="list what became of every tensor")


def run(arguments: argparse.Namespace) -> int:
    """Do what the arguments say."""
    return _ACTIONS[arguments.action](arguments)


def _list(arguments: argparse.Namespace) -> int:
    from segtalker.weights.listing import table

    print(table())
    return 0


def _info(arguments: argparse.Namespace) -> int:
    from segtalker.weights.listing import describe_row
    from segtalker.weights.registry import rows_of

    rows = rows_of(arguments.what)
    if rows and not Path(arguments.what).is_file():
        print("\n\n".join("\n".join(describe_row(row)) for row in rows))
        return 0
    from segtalker.weights.importing import describe

    print("\n".join(describe(arguments.what)))
    return 0


def _fetch(arguments: argparse.Namespace) -> int:
    from segtalker.progress import ProgressBar
    from segtalker.weights.fetching import fetch
    from segtalker.weights.sources import FetchOptions

    options = FetchOptions(arguments.accept_licence, arguments.mirror, arguments.offline)
    with ProgressBar(arguments.quiet) as bar:
        for path in fetch(arguments.names, options, bar, lambda line: print(line, file=sys.stderr)):
            print(path)
    return 0


def _import(arguments: argparse.Namespace) -> int:
    from segtalker.weights.fetching import adopt, used_as_published

    if arguments.file.is_file() and (row := used_as_published(arguments.file)) is not None:
        if given := [name for name, value in _of_networks(arguments).items() if value is not None]:
            raise ConfigError(
                f"{arguments.file}: {row.name} is used as published and goes to the cache, so "
                f"{', '.join(given)} would change nothing. Leave it out."
            )
        print(f"written: {adopt(arguments.file)}")
        return 0
    from segtalker.weights.importing import import_file

    done = import_file(
        arguments.file,
        arguments.network,
        arguments.out,
        arguments.training,
        arguments.group,
        onto=arguments.onto,
    )
    print("\n".join(_told(done, arguments.each)))
    return 0


def _of_networks(arguments: argparse.Namespace) -> dict[str, object]:
    """The options of `import` that say what becomes of a network."""
    return {
        "--as": arguments.network,
        "--for": arguments.training,
        "--onto": arguments.onto,
        "--group": arguments.group,
        "--out": arguments.out,
    }


def _verify(arguments: argparse.Namespace) -> int:
    from segtalker.weights.listing import verification
    from segtalker.weights.registry import ROWS
    from segtalker.weights.store import examine, wanted

    found = [examine(row) for row in (wanted(arguments.names) if arguments.names else ROWS)]
    print("\n".join(verification(found)))
    if damaged := [item.row.name for item in found if item.state == "damaged"]:
        raise WeightsError(f"damaged: {', '.join(damaged)}. Fetch or import them again.")
    return 0


def _where(arguments: argparse.Namespace) -> int:
    from segtalker.weights.store import locate

    print(locate(arguments.name))
    return 0


_ACTIONS: dict[str, Callable[[argparse.Namespace], int]] = {
    "list": _list,
    "info": _info,
    "fetch": _fetch,
    "import": _import,
    "verify": _verify,
    "where": _where,
}


def _told(done: Imported, each: bool) -> list[str]:
    """What was imported, for people."""
    from segtalker.weights.importing import provenance
    from segtalker.weights.partial import summary

    lines = [f"found:   {done.match.title}", provenance(done.row)]
    if done.others:
        lines.append(f"also in this file: {', '.join(done.others)} (--as)")
    if done.fates:
        lines += map(str, done.fates) if each else summary(list(done.fates))
    elif done.left_out:
        lines.append(
            f"left out: {len(done.left_out)} tensors" + ("" if each else ", such as " + done.left_out[0])
        )
        lines += done.left_out if each else ()
    lines.append(f"written: {done.path} ({done.path.stat().st_size / 1e6:.1f} MB)")
    if use := _USES.get(done.network):
        lines.append(f"use:     {use.format(path=done.path)}")
    return lines
