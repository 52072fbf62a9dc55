"""What the routes share: the service and everything that stands between it and a caller."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from serve.api.audit import Audit
from serve.api.auth import Caller, Doorkeeper
from serve.api.errors import ApiError
from serve.api.inputs import Fetcher
from serve.api.limits import Places, RequestRate
from serve.api.looking import Looker
from serve.api.schemas import JobBody, Links
from serve.api.scratch import Scratch
from serve.api.service import Service
from serve.api.stream import Streams
from serve.api.threads import in_thread
from serve.jobs import JobView

_LEFT_OVER_S = 7200.0
"""No request takes so long; files of an older one belong to a process that was killed."""
_bearer = HTTPBearer(
    auto_error=False,
    description="A token of the operator; without a tokens file only this machine is served.",
)
CallerOf = Callable[..., Awaitable[Caller]]


class Context:
    """Made once for each application."""

    def __init__(self, service: Service) -> None:
        """`ConfigError` where tokens, the audit file or the scratch folder cannot be used."""
        api, limits = service.config.api, service.config.limits
        self.service = service
        self.store = service.store
        self.limits = limits
        self.doorkeeper = Doorkeeper(api.tokens_file, api.cors_origins)
        self.rate = RequestRate(limits, api.replicas)
        self.audit = Audit(api.audit_file)
        self.scratch = Scratch(api.scratch, _LEFT_OVER_S)
        self.looker = Looker(limits)
        self.fetcher = Fetcher(service.config.inputs, limits)
        self.streams = Streams(self.store, self.scratch, service.config.jobs.poll_s)
        self.uploading = Places()
        self.answering = Places()

    def close(self) -> None:
        """Let go of threads; whoever asks later gets new ones."""
        self.streams.close()
        self.looker.close()

    def identify(self) -> CallerOf:
        """The dependency of every route that is not public: who asks, counted as one request."""

        async def identify(
            request: Request,
            credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
        ) -> Caller:
            caller = self.doorkeeper.identify(request)
            self.rate.count(caller.name)
            return caller

        return identify

    async def own_job(self, job: str, caller: Caller) -> JobView:
        """A job of the caller; `ApiError` 404 for one that is not there or not theirs."""
        view = await in_thread(self.store.view, job)
        if view is None or view.owner != caller.name:
            raise ApiError(
                404, "not_found", "There is no such job, or it is not yours; GET /v1/dubs lists yours."
            )
        if not view.is_open:
            self.audit.ended(caller, view.id, view.state)
        return view


def job_body(view: JobView, with_report: bool = True) -> JobBody:
    """A job as callers see it."""
    values = view.to_json()
    del values["owner"]
    if not with_report:
        values["report"] = None
    return JobBody(**values, links=Links.of(view.id))
