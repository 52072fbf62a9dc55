"""The rules that hold the layout: imports are free, and the library knows nothing of Ray."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def _modules_after(statement: str) -> set[str]:
    probe = f"import sys; {statement}; print(' '.join(sys.modules))"
    result = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    return set(result.stdout.split())


def test_importing_segtalker_loads_nothing_heavy():
    loaded = _modules_after("import segtalker, segtalker.cli, segtalker.regions, segtalker.config")
    assert not loaded & {"torch", "ray", "cv2", "av", "librosa", "scipy"}


def test_importing_the_pipeline_does_not_import_ray():
    assert "ray" not in _modules_after("import segtalker.pipeline")


@pytest.mark.parametrize("module", ["segtalker.models.tsg", "segtalker.models.sgi", "segtalker.data.shards"])
def test_models_and_shards_load_without_the_media_packages(module: str):
    assert not _modules_after(f"import {module}") & {"av", "cv2", "librosa", "ai_edge_litert"}


def test_importing_makes_no_folder_and_fetches_nothing(tmp_path: Path):
    cache = tmp_path / "cache"
    code = "import segtalker.pipeline, segtalker.weights.store, segtalker.faces.detect"
    environment = {"SEGTALKER_CACHE": str(cache), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, cwd=ROOT)
    assert not cache.exists()


def test_no_source_file_outgrows_a_reader():
    files = [
        path
        for folder in ("segtalker", "ray_jobs", "serve", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
    ]
    long = {
        str(path.relative_to(ROOT)): n for path in files if (n := len(path.read_text().splitlines())) > 350
    }
    assert not long


def test_make_looks_for_tests_on_ray_where_they_are():
    named = re.search(r"^RAY_TESTS := (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert named
    marked = [
        path for path in (ROOT / "tests").rglob("test_*.py") if "pytest.mark." + "ray" in path.read_text()
    ]
    assert marked
    folders = [ROOT / folder for folder in named[1].split()]
    assert [str(path) for path in marked if not set(folders) & set(path.parents)] == []
