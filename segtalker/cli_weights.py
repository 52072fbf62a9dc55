"""The verb `segtalker weights`: which networks there are, and how published ones come in."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from segtalker.weights.importing import Imported

Parser = argparse.ArgumentParser

_USES = {
    "generator": "a training of SGI starts from it: segtalker weights import FILE --as sgi --for "
    "configs/paper/sgi.yaml -o start.safetensors",
    "sgi": "segtalker train sgi CONFIG --set start_from={path}",
    "speech": "segtalker train tsg CONFIG --set speech={path}",
}


def add_arguments(parser: Parser) -> None:
    """One sub-command an action."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="every network: what it is, licence, whether it is here")
    fetch = actions.add_parser(
        "fetch", help="fetch files into the cache ($SEGTALKER_CACHE or ~/.cache/segtalker)"
    )
    fetch.add_argument("name", help="a name or a group from `segtalker weights list`, such as faces")
    info = actions.add_parser("info", help="say what a file is, ours or a published one; nothing is written")
    info.add_argument("file", type=Path, help="a file of any name")
    _add_import(actions.add_parser("import", help="turn a published file that you have into one of ours"))


def _add_import(parser: Parser) -> None:
    parser.description = (
        "Recognises a network by its keys, whatever the file is called, and writes it as safetensors with "
        "its configuration and licence inside. Nothing in the file is run. Known: StyleGAN2 (PyTorch port, "
        "NVIDIA's pickles), AV-HuBERT."
    )
    parser.add_argument("file", type=Path, help="the published file (.pt, .pth, .pkl, .safetensors)")
    parser.add_argument(
        "--as",
        dest="network",
        choices=("generator", "discriminator", "sgi", "speech"),
        help="which network, where a file holds several; sgi: a start for SGI from a generator",
    )
    parser.add_argument(
        "--for",
        dest="training",
        type=Path,
        metavar="TRAINING.yaml",
        help="with --as sgi or discriminator: the training to fit; what the file lacks begins at random",
    )
    parser.add_argument("--group", help="which copy, as in g for the network that g_ema averages")
    parser.add_argument("-o", "--out", type=Path, help="default: its place in the cache, if it is published")
    parser.add_argument("--each", action="store_true", help="list what became of every tensor")


def run(arguments: argparse.Namespace) -> int:
    """Do what the arguments say."""
    from segtalker.weights import store

    if arguments.action == "fetch":
        for path in store.fetch_group(arguments.name):
            print(path)
    elif arguments.action == "list":
        print(store.table())
    elif arguments.action == "info":
        from segtalker.weights.importing import describe

        print("\n".join(describe(arguments.file)))
    else:
        from segtalker.weights.importing import import_file

        done = import_file(
            arguments.file, arguments.network, arguments.out, arguments.training, arguments.group
        )
        print("\n".join(_told(done, arguments.each)))
    return 0


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
