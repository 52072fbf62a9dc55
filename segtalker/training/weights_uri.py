"""Weights that a training starts from or listens to: on this disk, in its cache, or in a bucket."""

from __future__ import annotations

import hashlib
from pathlib import Path

from segtalker.data.shard_cache import alone, shard_cache_dir
from segtalker.errors import WeightsError
from segtalker.storage import Uri, fingerprint, get_file, is_local, local_path, stamp_files
from segtalker.weights.store import cached, locate
from segtalker.weights.uses import CACHE, WeightsUse


def weights_at(use: WeightsUse) -> Path | None:
    """The file that a configuration means, on this machine's disk; None where its part is done without."""
    if use.by_itself:
        return cached(use.row)
    return None if use.place is None else local_weights(use.place)


def local_weights(uri: Uri) -> Path:
    """The file `uri` on this machine's disk; whoever loads it finds out whether it is what it should be.

    `cache:ROW` is what the weights cache holds of that row of the registry. One in a bucket is fetched into
    the cache of shards, by one process for all of the machine. Its name there changes when the file in the
    bucket is written again.
    """
    if str(uri).startswith(CACHE):
        return locate(str(uri).removeprefix(CACHE))
    if is_local(uri):
        return local_path(uri)
    stamps = stamp_files(uri)
    if len(stamps) != 1:
        kind = "a folder" if stamps else "nothing there"
        raise WeightsError(f"{uri}: no weights, but {kind}. Name a file, as a training printed it.")
    (stamp,) = stamps.values()
    version = hashlib.sha256(f"{uri} {stamp}".encode()).hexdigest()[:24]
    path = shard_cache_dir() / f"{version}-{str(uri).rpartition('/')[2]}"
    with alone(path.name):
        if not path.is_file() or path.stat().st_size != fingerprint(uri, with_hash=False)["bytes"]:
            get_file(uri, path)
    return path
