"""What this machine has and lacks for SegTalker, with the remedy for everything that is missing."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "missing", "optional"]

MINI_NETWORKS = ("tsg", "sgi")
"""Shipped networks that a dub cannot do without."""
_MARKS: dict[State, str] = {"ok": "ok", "missing": "MISSING", "optional": "absent"}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for."""

    name: str
    state: State
    """`optional` is absent too, but dubbing works without it."""
    detail: str
    remedy: str = ""
    """A line for each thing to do."""


def doctor() -> int:
    """Print what was found; exit code 0 if this machine can dub, 1 if something it needs is missing."""
    findings = examine()
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        print(f"{_MARKS[finding.state]:8} {finding.name:{width}}  {finding.detail}")
        for line in finding.remedy.splitlines() if finding.state != "ok" else ():
            print(f"{'':8} {'':{width}}  -> {line}")
    missing = [finding.name for finding in findings if finding.state == "missing"]
    print(f"\nThis machine cannot dub yet: {', '.join(missing)}." if missing else "\nThis machine can dub.")
    return 1 if missing else 0


def examine() -> list[Finding]:
    """Look at everything; nothing is fetched, started or left behind."""
    checks: tuple[Callable[[], list[Finding]], ...] = (
        _python,
        _packages,
        _accelerator,
        _encoders,
        _face_models,
        _mini_weights,
        _published,
        _cache,
        _extras,
        _speech_engines,
    )
    return [finding for check in checks for finding in check()]


def _python() -> list[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    fine = sys.version_info >= (3, 10)
    return [Finding("python", "ok" if fine else "missing", version, "Install Python 3.10 or newer.")]


def _packages() -> list[Finding]:
    remedy = "Run: pip install -c constraints.txt -e ."
    needed = ("torch", "numpy", "scipy", "av", "opencv-python", "librosa", "safetensors")
    return [_package(name, name, "missing", remedy) for name in needed]


def _accelerator() -> list[Finding]:
    cores = (
        f"{len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()} CPU cores"
    )
    try:
        import torch
    except Exception as error:  # a broken CUDA library raises anything at import
        return [Finding("accelerator", "missing", f"torch does not load: {error}", "Install torch again.")]
    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
        return [Finding("accelerator", "ok", f"{names} (CUDA {torch.version.cuda}), {cores}")]
    if torch.backends.mps.is_available():
        return [Finding("accelerator", "ok", f"Apple GPU, {cores}")]
    built = (
        f"torch was built for CUDA {torch.version.cuda}, " if torch.version.cuda else "torch is a CPU build, "
    )
    return [
        Finding(
            "accelerator", "optional", f"{built}no GPU is used; {cores}", "The README says how to use one."
        )
    ]


def _encoders() -> list[Finding]:
    try:
        from av.codec import Codec
    except ImportError:
        return []  # reported with the packages
    findings = []
    for name in ("libx264", "aac"):
        try:
            Codec(name, "w")
        except Exception as error:
            findings.append(
                Finding(f"encoder {name}", "missing", str(error), "Run: pip install --force-reinstall av")
            )
        else:
            findings.append(Finding(f"encoder {name}", "ok", "in PyAV"))
    return findings


def _face_models() -> list[Finding]:
    from segtalker.weights.remedies import remedy
    from segtalker.weights.store import status

    findings = []
    runners = [name for name in ("ai_edge_litert", "cv2") if importlib.util.find_spec(name)]
    for item in status():
        needed = item.row.group == "faces"
        if item.state == "missing" and not needed:
            continue  # told with what it would make possible
        absent: State = "missing" if needed and "optional" not in item.row.consumer else "optional"
        state: State = "ok" if item.state == "ready" else absent
        why = f" ({item.why})" if item.why else ""
        findings.append(
            Finding(f"model {item.row.name}", state, f"{item.state}, {item.path}{why}", remedy(item.row))
        )
    detail = "LiteRT" if "ai_edge_litert" in runners else "OpenCV (slower; LiteRT is absent)"
    install = "Run: pip install ai-edge-litert"
    findings.append(
        Finding("face model runner", "ok" if runners else "missing", detail if runners else "none", install)
    )
    return findings


def _published() -> list[Finding]:
    """What the networks of others make possible: metrics, loss terms, presets."""
    from segtalker import readiness

    here = readiness.rows_here()
    switches = [(f"metric {switch.name}", switch) for switch in readiness.metrics(here)]
    switches += [(f"loss term {switch.name}", switch) for switch in readiness.loss_terms(here)]
    findings = []
    for name, switch in switches:
        wanted = " or ".join(row.name for row in switch.rows)
        detail = f"on: {switch.by.name}" if switch.by is not None else f"off: wants {wanted}"
        state: State = "ok" if switch.by is not None else "optional"
        findings.append(Finding(name, state, detail, "\n".join(switch.remedy)))
    for preset in readiness.presets(here):
        lacks = ", ".join(f"{row} ({what})" for row, what in preset.lacks.items())
        detail = "complete" if preset.complete else f"lacks {lacks}" if lacks else "its start is to be made"
        trained = f"; reads {', '.join(preset.trained)}, which you train" if preset.trained else ""
        remedy = "\n".join(preset.remedy)
        state = "ok" if preset.complete else "optional"
        findings.append(Finding(f"preset {preset.name}", state, detail + trained, remedy))
    return findings


def _mini_weights() -> list[Finding]:
    from segtalker.weights.checkpoint import weights_path

    findings = []
    for name in MINI_NETWORKS:
        path = weights_path("mini", name)
        state: State = "ok" if path.is_file() else "missing"
        detail = f"{path.stat().st_size / 1e6:.1f} MB" if path.is_file() else f"{path} is not there"
        remedy = f"Reinstall the package, or train it: segtalker train {name} configs/mini/{name}.yaml"
        findings.append(Finding(f"weights mini/{name}", state, detail, remedy))
    return findings


def _cache() -> list[Finding]:
    from segtalker.weights.store import cache_dir

    folder = cache_dir()
    # Not Path.exists, which raises for a folder in one that may not be read.
    existing = next(parent for parent in (folder, *folder.parents) if os.path.exists(parent))
    remedy = "Set SEGTALKER_CACHE to a folder that can be written."
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        return [Finding("weights cache", "missing", f"{folder}: {error.strerror}", remedy)]
    free = shutil.disk_usage(existing).free / 1e9
    return [Finding("weights cache", "ok", f"{folder} can be written, {free:.0f} GB free")]


def _extras() -> list[Finding]:
    findings = [
        _package(
            "ray", "ray (clusters, service)", "optional", "Run: pip install -c constraints.txt -e '.[ray]'"
        ),
        _package("tensorboard", "tensorboard (training)", "optional", "Run: pip install -e '.[train]'"),
        _package("insightface", "insightface (detector)", "optional", "Run: pip install -e '.[insightface]'"),
    ]
    if findings[-1].state == "ok":
        from segtalker.faces.insight import PACK, find_pack
        from segtalker.weights.registry import rows_of
        from segtalker.weights.remedies import remedy

        pack = find_pack()
        detail = (
            f"{pack}" if pack is not None else f"{PACK} is not here; the offline detector works without it"
        )
        state: State = "optional" if pack is None else "ok"
        findings.append(Finding("insightface pack", state, detail, remedy(rows_of(PACK)[0])))
    return findings


def _speech_engines() -> list[Finding]:
    findings = [
        _package("hibari-tts", "speech hibari-tts", "optional", "Run: pip install -e '.[synth]'"),
        _package("piper-tts", "speech piper-tts", "optional", "Run: pip install -e '.[corpus]'"),
    ]
    for program in ("flite", "espeak-ng"):
        where = shutil.which(program)
        state: State = "ok" if where else "optional"
        remedy = "Run: make system-deps (only for the full synthetic corpus)"
        findings.append(Finding(f"speech {program}", state, where or "not installed", remedy))
    return findings


def _package(distribution: str, name: str, absent: State, remedy: str) -> Finding:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return Finding(name, "ok", importlib.metadata.version(distribution))
    return Finding(name, absent, "not installed", remedy)
