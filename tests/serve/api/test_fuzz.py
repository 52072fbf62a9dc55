"""Whatever /openapi.json lets a caller send, and much that it does not: documented answers, and no fault."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.generation import GenerationMode

from serve.api import create_api
from serve.config import ApiConfig, LimitsConfig
from tests.serve.api.service import PlainService, finish, make_service
from tests.serve.jobs.helpers import make_request

pytestmark = pytest.mark.slow
TOKEN = "fuzz-token-0123456789"
NUM_JOBS = 24
OPERATIONS = 16
EXAMPLES = {GenerationMode.POSITIVE: 10, GenerationMode.NEGATIVE: 10}
NOT_CHECKED = ["positive_data_acceptance", "negative_data_rejection"]
"""No schema says what a film is, and the header with the token is ours in every case."""
SETTINGS = {
    "derandomize": True,
    "deadline": None,
    "database": None,
    "phases": [Phase.generate],
    "suppress_health_check": list(HealthCheck),
}


@dataclass
class Fuzzed:
    """The application's document, jobs that are done, and files that a decoder accepts."""

    schema: Any
    jobs: list[str]
    files: dict[str, bytes]


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory, media) -> Iterator[Fuzzed]:
    root = tmp_path_factory.mktemp("fuzz")
    (root / "tokens").write_text(f"fuzz {TOKEN}\n")
    service = make_service(
        root,
        limits=LimitsConfig(requests_per_minute=10**6, open_jobs_per_token=10**4, probe_s=20),
        api=ApiConfig(tokens_file=str(root / "tokens"), scratch=str(root / "scratch")),
    )
    jobs = [_ended_job(service, root / f"job{number}") for number in range(NUM_JOBS)]
    names = {"video": "video.mp4", "speech": "speech.wav", "image": "photo.png", "map": "photo.png"}
    files = {name: (media / file).read_bytes() for name, file in names.items()}
    stop = threading.Event()
    driver = threading.Thread(target=_fail_all, args=(service, stop), daemon=True)
    driver.start()
    yield Fuzzed(schemathesis.openapi.from_asgi("/openapi.json", create_api(service)), jobs, files)
    stop.set()
    driver.join(10)


def _ended_job(service: PlainService, folder: Path) -> str:
    request, files = make_request(folder, owner="fuzz")
    service.store.create(request, files)
    finish(service, request.id, folder)
    return request.id


def _fail_all(service: PlainService, stop: threading.Event) -> None:
    """Be a driver that succeeds with nothing, so that no stream waits for ever."""
    while not stop.wait(0.05):
        for job in service.store.open_ids():
            claim = service.store.claim(job, "a test")
            if claim is not None:
                claim.finish("failed", "No face was found.")


@pytest.mark.parametrize("mode", list(EXAMPLES), ids=lambda mode: mode.value)
def test_every_answer_is_documented_and_none_is_a_fault(fuzzed, mode):
    load_all_checks()
    seen = []
    for found in fuzzed.schema.get_all_operations():
        operation = found.ok()

        @given(case=operation.as_strategy(generation_mode=mode), turn=st.integers(0, 4 * NUM_JOBS - 1))
        @settings(max_examples=EXAMPLES[mode], **SETTINGS)
        def ask(case, turn):
            if turn % 2 and mode is GenerationMode.POSITIVE:
                _make_real(case, fuzzed, fuzzed.jobs[turn // 4])
            case.call_and_validate(
                headers={"Authorization": f"Bearer {TOKEN}"}, excluded_checks=CHECKS.get_by_names(NOT_CHECKED)
            )
            seen.append(case.operation.label)

        with suppress(Unsatisfiable):  # nothing about it can be wrong
            ask()
    assert len(set(seen)) >= OPERATIONS


def _make_real(case: Any, fuzzed: Fuzzed, job: str) -> None:
    """Name a job that is there, and send files that can be decoded."""
    if "job" in case.path_parameters:
        case.path_parameters["job"] = job
    if case.media_type == "multipart/form-data" and isinstance(case.body, dict):
        case.body |= {name: data for name, data in fuzzed.files.items() if name in case.body}
        if "edit" in case.path:
            case.body["options"] = '{"edits": "lip=red@0.7,frown=0.5"}'
