"""Does the service lose, double or hang anything while its replicas are killed under mixed load?

200 requests (40 with --quick) of clips below a second: good ones, ones that are cancelled, damaged and too
large files, and uploads that never end. Meanwhile a replica of the generator, one of the ingress and one of
the drivers are each struck by SIGKILL. The shipped client repeats a request at most once per kill. Then
longer jobs are submitted, and everything is killed at once and started again.

    lost_jobs             accepted jobs that did not end, or whose result cannot be fetched
    duplicated_jobs       jobs that nobody asked for, or that ended more than once
    hung_requests         requests that were still open after their time
    server_errors         5xx, or no answer, that a caller saw in spite of the client's repetitions
    differing_outputs     finished videos that do not equal those of the same clip before the load, encoded
                          without loss: frames, times and sound, and of each frame all but a thousandth of
                          the samples within 2/255 (batches of several requests change float sums)
    good_not_done         good requests that did not end with a video
    memory_ratio          of all processes of Ray, 60 s after the load against before it
    restart_lost_jobs     jobs that did not end well after the start from nothing
    restart_redone        of their segments that were finished before, how many were made again
"""

from __future__ import annotations

import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks._clip import tone
from benchmarks._ray import until
from benchmarks._report import log, main, table
from benchmarks._serve import DRIVER, GENERATOR, INGRESS, Service, running, service_config, small_segments
from benchmarks._serve_books import account, differs, stored_jobs, summary
from benchmarks._serve_load import Inputs, Outcome, Player, draw_inputs, mixed, play
from segtalker.client import Retries, ServiceError
from serve.config import ServiceConfig
from serve.jobs.layout import Layout

_STRIKES = {0.15: GENERATOR, 0.4: INGRESS, 0.65: DRIVER}
"""Share of the requests that have ended -> whose replica is killed then."""
_AT_ONCE = 12
_CLIP_S = 0.6
_SETTLE_S = 60.0
_SLOW_MARGIN_S = 60.0  # the only ingress may have to start again before it sees the request
_LONG_JOBS = 3
_LONG_WITHIN_S = 600.0  # the three together, on the slowest machine at hand


def run(quick: bool) -> dict[str, Any]:
    """Counts over all requests."""
    count, long_s = (40, 3.0) if quick else (200, 6.0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = service_config(folder, small_segments(8, threads=1))
        inputs = draw_inputs(folder, _CLIP_S, config.limits.upload_mb)
        with running(config, folder) as service:
            references = _undisturbed(service, inputs, folder)
            known = len(stored_jobs(config.jobs.storage))
            before = service.memory()
            outcomes, struck = _load(service, inputs, folder, mixed(count), 60.0 + 5 * count)
            log(f"the load is over; waiting {_SETTLE_S:.0f} s for memory to settle")
            time.sleep(_SETTLE_S)
            after = service.memory()
        reasons = _differences(outcomes, references)
        for line in [*reasons, *(o.detail for o in outcomes if o.ended in ("error", "lost", "hung"))]:
            log(line)
        figures = account(outcomes, stored_jobs(config.jobs.storage), before=known)
        restarted = _after_restart(config, inputs, folder, long_s)
    return {
        **figures,
        "differing_outputs": len(reasons),
        "compared_outputs": sum(outcome.output is not None for outcome in outcomes),
        "memory_ratio": round(after / before, 3),
        "memory_mb": [round(before / 1e6), round(after / 1e6)],
        "strikes": len(struck),
        **restarted,
    }


def _undisturbed(service: Service, inputs: Inputs, folder: Path) -> list[Path]:
    """The output of each clip from a service that does nothing else, encoded without loss; warms it up."""
    client, videos = service.client(), []
    for number, clip in enumerate(inputs.clips):
        videos.append(folder / f"undisturbed{number}.mp4")
        client.dub(*clip, videos[-1], crf=0, timeout_s=120)
    with ThreadPoolExecutor(
        _AT_ONCE
    ) as pool:  # all drivers and replicas have worked before memory is measured
        for number in range(_AT_ONCE):
            clip = inputs.clips[number % len(inputs.clips)]
            pool.submit(client.dub, *clip, folder / f"warm{number}.mp4", crf=0, timeout_s=300)
    return videos


def _load(
    service: Service, inputs: Inputs, folder: Path, kinds: list[str], within_s: float
) -> tuple[list[Outcome], list[str]]:
    """Outcomes of all requests, and who was killed meanwhile."""
    struck: list[str] = []
    outputs = folder / "outputs"
    outputs.mkdir()

    def strike(ended: int) -> None:
        for share, victim in _STRIKES.items():
            if ended >= share * len(kinds) and victim not in struck:
                log(f"{ended} of {len(kinds)} requests have ended; killed {victim} {service.kill(victim)}")
                struck.append(victim)

    limits = service.config.limits
    player = Player(
        client=service.client(Retries(errors=len(_STRIKES), within_s=within_s, first_wait_s=1.0)),
        url=service.url,
        inputs=inputs,
        folder=outputs,
        idle_s=limits.idle_s,
        slow_s=limits.upload_s + _SLOW_MARGIN_S,
        within_s=within_s,
    )
    started = time.monotonic()
    outcomes = play(kinds, player, _AT_ONCE, within_s, strike)
    table(summary(outcomes))
    log(f"{len(kinds)} requests in {time.monotonic() - started:.0f} s")
    return outcomes, struck


def _differences(outcomes: list[Outcome], references: list[Path]) -> list[str]:
    """A line for each output that is not as it was without disturbance."""
    lines = []
    for outcome in outcomes:
        if outcome.output is not None and outcome.clip is not None:
            reason = differs(outcome.output, references[outcome.clip])
            if reason:
                lines.append(f"request {outcome.number}, clip {outcome.clip}: {reason}")
    return lines


def _after_restart(config: ServiceConfig, inputs: Inputs, folder: Path, seconds: float) -> dict[str, Any]:
    """Kill everything in the midst of jobs of several segments, start again, and see them end."""
    config = replace(config, jobs=replace(config.jobs, storage=str(folder / "restart")))
    speech = tone(folder / "long.wav", seconds)
    with running(config, folder) as service:
        jobs = [
            service.client()
            .submit(inputs.clips[number % len(inputs.clips)][0], speech, sync_mode="bounce")
            .id
            for number in range(_LONG_JOBS)
        ]
        until(lambda: min(_finished(config, job) for job in jobs) > 1, "finished segments")
        log("killing the whole cluster")
        service.kill_cluster()
    finished = {job: _finished(config, job) for job in jobs}
    lost, redone = 0, 0
    with running(config, folder) as service:
        end = time.monotonic() + _LONG_WITHIN_S
        for job in jobs:
            try:
                report = service.client().job(job).wait(timeout_s=max(1.0, end - time.monotonic()))["report"]
                redone += max(0, finished[job] - report["reused_segments"])
            except ServiceError as error:
                log(str(error))
                lost += 1
    shutil.rmtree(config.jobs.storage)
    return {
        "restart_lost_jobs": lost,
        "restart_redone": redone,
        "restart_finished_before": sum(finished.values()),
    }


def _finished(config: ServiceConfig, job_id: str) -> int:
    """Segments of a job that are in its storage."""
    layout = Layout(config.jobs.storage)
    job = layout.read_job(job_id)
    assert job is not None
    work = Path(layout.data(job.folder, "work"))
    return sum(path.suffixes == [".mp4"] for path in work.glob("*/segments/*.mp4"))


if __name__ == "__main__":
    nothing = ("lost_jobs", "duplicated_jobs", "hung_requests", "server_errors", "differing_outputs")
    restart = ("good_not_done", "bad_accepted", "restart_lost_jobs", "restart_redone")
    main(__doc__, run, targets={**dict.fromkeys(nothing + restart, "== 0"), "memory_ratio": "<= 1.10"})
