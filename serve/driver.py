"""The deployments around the stages: drivers that run jobs, and the ingress that answers HTTP."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Mapping
from typing import Any

from ray import serve
from ray.serve.handle import DeploymentHandle

from segtalker.config import parse_config
from serve.about import describe
from serve.api.service import Pictures
from serve.asking import Stage
from serve.config import ServiceConfig, StageConfig
from serve.counted import STAGE_OF, CountedStages
from serve.deployments import Replica, replica_name
from serve.local import open_store
from serve.metrics import StageMetrics
from serve.pictures import StagePictures
from serve.remote import RemoteStages
from serve.runner import JobRunner, spare_the_collector
from serve.warm_up import warm_up_faces, warm_up_painter, warm_up_talker

_log = logging.getLogger("segtalker.service")
_STATUS_S = 5.0
_PICTURE_S = 20.0  # a caller who waits for a picture is told to come back before it gives up by itself

Handles = dict[str, DeploymentHandle]
"""Stage -> deployment that answers its verbs."""


def stages_behind(config: ServiceConfig, handles: Handles, **patience_s: float) -> RemoteStages:
    """The stages of a dub that these deployments are; patience_s: see `Stage`."""
    return RemoteStages(config.dub, **{name: Stage(handle, **patience_s) for name, handle in handles.items()})


class Driver:
    """Takes jobs out of the store and runs them through the stages; any replica may end at any time."""

    def __init__(self, config: dict[str, Any], handles: Handles) -> None:
        cfg = parse_config(ServiceConfig, config)
        self._runner = JobRunner(open_store(cfg), cfg, stages_behind(cfg, handles), _who())
        spare_the_collector()

    async def nudge(self) -> None:
        """There is a new job."""
        self._runner.nudge()

    async def check_health(self) -> None:
        """Fails when jobs are no longer looked for."""
        if not self._runner.is_alive:
            raise RuntimeError("the runner of jobs has stopped")

    async def __del__(self) -> None:
        await asyncio.to_thread(self._runner.stop)


class FusedDriver(Replica):
    """A driver that holds all networks on one accelerator, and answers their verbs for single pictures."""

    def __init__(self, config: dict[str, Any]) -> None:
        cfg = parse_config(ServiceConfig, config)
        super().__init__(config["dub"], StageConfig(threads=cfg.driver.threads))
        counted = CountedStages(self._stages, self._metrics)
        self._runner = JobRunner(open_store(cfg), cfg, counted, _who())
        spare_the_collector()

    def _count(self) -> dict[str, StageMetrics]:
        stages = {stage: StageMetrics(stage) for stage in set(STAGE_OF.values())}
        return {verb: stages[stage] for verb, stage in STAGE_OF.items()}

    def _warm_up(self) -> None:
        for warm_up in (warm_up_faces, warm_up_talker, warm_up_painter):
            warm_up(self._stages)

    async def nudge(self) -> None:
        """There is a new job."""
        self._runner.nudge()

    async def check_health(self) -> None:
        """Fails when jobs are no longer looked for, or the device fails."""
        if not self._runner.is_alive:
            raise RuntimeError("the runner of jobs has stopped")
        await super().check_health()

    async def __del__(self) -> None:
        await asyncio.to_thread(self._runner.stop)


@serve.ingress()
class Ingress:
    """The HTTP API and the page."""

    def __init__(self, config: dict[str, Any], driver: DeploymentHandle, handles: Handles) -> None:
        self.config = parse_config(ServiceConfig, config)
        self.store = open_store(self.config)
        stages = stages_behind(self.config, handles, patience_s=_PICTURE_S, answer_s=_PICTURE_S)
        self.pictures: Pictures = StagePictures(stages)
        self._driver = driver
        self._about = describe(self.config.dub)
        self._parts = {"driver": driver, **handles}
        self._asking: asyncio.Task[dict[str, str]] | None = None

    def __serve_build_asgi_app__(self) -> Any:
        """Called by Serve in the replica, once it is constructed."""
        from serve.api import create_api

        return create_api(self)

    def describe(self) -> Mapping[str, Any]:
        """See `Service.describe`."""
        return self._about

    async def ready(self) -> Mapping[str, str]:
        """See `Service.ready`."""
        names = sorted({handle.deployment_name for handle in self._parts.values()})
        if self._asking is None or self._asking.done():  # all who ask meanwhile share the answer
            self._asking = asyncio.create_task(asyncio.to_thread(_statuses))
        try:
            statuses = await asyncio.wait_for(asyncio.shield(self._asking), _STATUS_S)
        except Exception as error:  # the controller is starting again, or its node is lost
            _log.warning("the controller of Serve does not answer: %s", type(error).__name__)
            return dict.fromkeys(names, "is not known: the controller of Serve does not answer")
        return {name: statuses.get(name, "is not deployed") for name in names}

    async def nudge(self) -> None:
        """See `Service.nudge`; a driver that does not hear it looks by itself soon."""
        self._driver.nudge.remote()


def _statuses() -> dict[str, str]:
    """Deployment of this application -> `ready`, or what Serve says of it."""
    app = serve.get_replica_context().app_name
    deployments = serve.status().applications[app].deployments
    return {
        name: "ready" if status.status == "HEALTHY" else f"{status.status}: {status.message}".rstrip(": ")
        for name, status in deployments.items()
    }


def _who() -> str:
    """Host and replica, for people who read a job's log."""
    return f"{socket.gethostname()}:{replica_name() or 'local'}"
