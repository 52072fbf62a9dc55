"""Jobs of the service, as files in storage: accepted once, worked on by whoever claims them, ended once."""

from serve.jobs.claim import Claim
from serve.jobs.ids import is_job_id, job_id, random_job_id
from serve.jobs.record import (
    RUN_PIECE,
    JobConflict,
    JobNotFound,
    JobOpen,
    JobRequest,
    JobState,
    JobView,
    Outcome,
)
from serve.jobs.store import JobStore

__all__ = [
    "RUN_PIECE",
    "Claim",
    "JobConflict",
    "JobNotFound",
    "JobOpen",
    "JobRequest",
    "JobState",
    "JobStore",
    "JobView",
    "Outcome",
    "is_job_id",
    "job_id",
    "random_job_id",
]
