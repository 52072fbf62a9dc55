"""One Ray Serve deployment around the pipeline: POST /dub with paths that the service sees, get the report.

serve run serve.app:build config=dub.yaml
"""

import asyncio  # no postponed annotations here: Serve rebuilds the routes where their names do not resolve
from dataclasses import asdict
from typing import Any

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, ConfigDict
from ray import serve

from segtalker.config import load_config
from segtalker.errors import SegTalkerError
from segtalker.pipeline import DubConfig, SegTalker

api = FastAPI(title="SegTalker")


class DubRequest(BaseModel):
    """Where to read and where to write."""

    model_config = ConfigDict(extra="forbid")
    video: str
    speech: str
    output: str


class BuildArguments(BaseModel):
    """Arguments of the application."""

    model_config = ConfigDict(extra="forbid")
    config: str | None = None  # YAML file of a `DubConfig`


@serve.deployment(max_ongoing_requests=1, max_queued_requests=8, logging_config={"enable_access_log": False})
@serve.ingress(api)
class Dubber:
    """One replica: its networks are loaded once; one dub at a time, a few more may wait."""

    def __init__(self, config: str | None) -> None:
        self._segtalker = SegTalker(load_config(DubConfig, config))

    @api.post("/dub")
    async def dub(self, request: DubRequest) -> dict[str, Any]:
        """Dub one clip; a mistake of the caller comes back as one sentence with status 422."""
        paths = (request.video, request.speech, request.output)
        try:
            return asdict(await asyncio.to_thread(self._segtalker.dub, *paths, quiet=True))
        except SegTalkerError as error:
            raise HTTPException(422, str(error)) from error


def build(args: BuildArguments) -> serve.Application:
    """The application, for `serve run` and for YAML files."""
    return Dubber.bind(args.config)  # type: ignore[attr-defined]  # the decorators turn it into a Deployment
