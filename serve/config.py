"""Everything that an operator can choose about the service; unknown keys are refused with a suggestion.

Ray ignores keys that it does not know, so the arguments of the application are parsed here, not by Ray.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from segtalker.dub_config import DubConfig


@dataclass(frozen=True, kw_only=True)
class LimitsConfig:
    """What a caller may send; beyond it the answer is 413, 422 or 429 with a sentence."""

    upload_mb: float = 500.0
    """All files of one request together."""
    upload_s: float = 300.0
    """Seconds within which a whole request must have arrived."""
    idle_s: float = 20.0
    """Longest pause between two parts of a request."""
    video_s: float = 600.0
    speech_s: float = 600.0
    output_s: float = 600.0
    """Of one dub; with a portrait or a loop it lasts as long as the speech, whatever the video does."""
    side_px: int = 4096
    """Longest side of a video or picture."""
    picture_mb: float = 30.0
    """A picture of `/v1/parse`, `/v1/encode` and `/v1/render`."""
    open_jobs: int = 200
    """Accepted and not yet ended, of all callers."""
    open_jobs_per_token: int = 50
    requests_per_minute: int = 600
    """Of one token; /healthz and /readyz are not counted."""
    probe_s: float = 30.0
    """CPU seconds for looking at one upload."""
    probe_mb: int = 2048
    """Memory for it, in a process of its own."""


@dataclass(frozen=True, kw_only=True)
class InputsConfig:
    """What a JSON request may name instead of sending it; nothing by default."""

    s3_prefixes: tuple[str, ...] = ()
    """As in `s3://bucket/folder/`."""
    https_hosts: tuple[str, ...] = ()
    """Names of hosts; private and loopback addresses are refused whatever the name."""
    fetch_s: float = 120.0


@dataclass(frozen=True, kw_only=True)
class CallbacksConfig:
    """Who may be told that a job has ended; nobody by default."""

    https_hosts: tuple[str, ...] = ()
    attempts: int = 8
    timeout_s: float = 10.0
    first_wait_s: float = 1.0
    """Doubles after each attempt."""


@dataclass(frozen=True, kw_only=True)
class JobsConfig:
    """Where jobs live, and when a driver takes over from one that is gone."""

    storage: str = "~/.cache/segtalker/jobs"
    """A folder that all nodes see, or `s3://bucket/prefix`."""
    lease_s: float = 15.0
    """A driver that shows no sign of life for so long has lost its job."""
    poll_s: float = 0.5
    """How often a driver looks for work."""
    attempts: int = 4
    """Drivers that may take one job before it ends as failed: an input that kills each of them."""
    away_s: float = 5.0
    """First rest of a job that a stage which was away has put off, at no attempt; doubles up to a minute."""
    away_h: float = 6.0
    """Hours after which a job that was put off again and again ends as failed."""
    retention_h: float = 24.0
    """Ended jobs are deleted after this."""


@dataclass(frozen=True, kw_only=True)
class StageConfig:
    """One deployment of the graph. CPUs and GPUs are of one replica."""

    min_replicas: int = 1
    max_replicas: int = 1
    cpus: float = 1.0
    gpus: float = 0.0
    threads: int = 1
    """CPU threads of its networks."""
    batch: int = 32
    """Most frames in one pass, of several chunks and jobs together; must hold a call of one chunk."""
    batch_wait_s: float = 0.0
    """How long a batch that is not full waits for company although the stage is free."""
    ongoing: int = 8
    """Calls that a replica holds at once."""
    queued: int = 64
    """Calls that may wait at each caller; more are told to come back."""
    target_ongoing: float = 2.0
    """Calls in progress per replica that autoscaling aims at."""
    upscale_s: float = 10.0
    downscale_s: float = 120.0

    def __post_init__(self) -> None:
        if not 1 <= self.min_replicas <= self.max_replicas:
            raise ValueError("min_replicas must be at least 1 and at most max_replicas")
        if min(self.batch, self.ongoing, self.threads) < 1 or self.target_ongoing <= 0:
            raise ValueError("batch, ongoing, threads and target_ongoing must be positive")


@dataclass(frozen=True, kw_only=True)
class DriverConfig:
    """The deployment that runs jobs: decodes, calls the stages, composes and encodes."""

    replicas: int = 2
    cpus: float = 1.0
    gpus: float = 0.0
    """Of the fused graph, whose drivers hold the networks themselves."""
    jobs: int = 4
    """Jobs that one driver runs at once."""
    chunks: int = 2
    """Chunks of one job that are on their way through the graph at once."""
    threads: int = 1
    """CPU threads of the networks of the fused graph."""

    def __post_init__(self) -> None:
        if min(self.replicas, self.jobs, self.chunks, self.threads) < 1:
            raise ValueError("replicas, jobs, chunks and threads must be at least 1")


@dataclass(frozen=True, kw_only=True)
class ApiConfig:
    """The HTTP side."""

    replicas: int = 1
    cpus: float = 0.5
    tokens_file: str | None = None
    """Lines `NAME TOKEN`; without it only callers on this machine are served."""
    cors_origins: tuple[str, ...] = ()
    audit_file: str | None = None
    """A JSON line for every job goes here, and always to the process's log as `segtalker.audit`."""
    scratch: str | None = None
    """Folder for uploads and work in progress; by default the system's temporary folder."""


@dataclass(frozen=True, kw_only=True)
class ServiceConfig:
    """The service: `serve run serve.app:build config=service.yaml`, or `args:` of a Serve YAML."""

    graph: Literal["split", "fused"] = "split"
    """`split`: each network is a deployment that scales by itself; `fused`: drivers hold all of them."""
    dub: DubConfig = field(default_factory=DubConfig)
    """What a job does where its caller does not choose."""
    faces: StageConfig = field(default_factory=StageConfig)
    talker: StageConfig = field(default_factory=StageConfig)
    encoder: StageConfig = field(default_factory=StageConfig)
    generator: StageConfig = field(default_factory=lambda: StageConfig(max_replicas=2))
    driver: DriverConfig = field(default_factory=DriverConfig)
    api: ApiConfig = field(default_factory=ApiConfig)
    jobs: JobsConfig = field(default_factory=JobsConfig)
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    inputs: InputsConfig = field(default_factory=InputsConfig)
    callbacks: CallbacksConfig = field(default_factory=CallbacksConfig)

    def __post_init__(self) -> None:
        if self.talker.batch < self.dub.render.batch or self.generator.batch < 2 * self.dub.render.batch:
            raise ValueError(
                f"talker.batch must be at least {self.dub.render.batch} (dub.render.batch), generator.batch "
                "twice that: a frame is painted with its new map and with its own"
            )
        if self.dub.adapt is not None:
            raise ValueError("dub.adapt: the service does not fit networks to single clips; leave it null")
