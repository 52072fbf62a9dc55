"""The whole service in one process without Ray, to try the page and the API on one machine.

    python -m serve.local --port 8000 --config service.yaml

Jobs, limits and answers are those of the graph on a cluster; the networks run in this process.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from segtalker.cli_arguments import add_overrides
from segtalker.config import load_config
from segtalker.local_stages import LocalStages
from segtalker.stages import Stages
from serve.about import describe
from serve.api.service import Pictures
from serve.config import ServiceConfig
from serve.jobs import JobStore
from serve.pictures import StagePictures
from serve.runner import JobRunner, spare_the_collector


class LocalService:
    """`Service` of one process: store, runner and stages. Close it, or use it as a context manager."""

    def __init__(self, config: ServiceConfig, stages: Stages | None = None) -> None:
        """stages: in place of those that `config.dub` asks for."""
        self.config = config
        self.store = open_store(config)
        stages = stages or LocalStages(config.dub)
        self.pictures: Pictures = StagePictures(stages)
        self._runner = JobRunner(self.store, config, stages, f"local:{os.getpid()}")
        self._about: dict[str, Any] | None = None

    def describe(self) -> Mapping[str, Any]:
        """See `Service.describe`."""
        self._about = self._about or describe(self.config.dub)
        return self._about

    async def ready(self) -> Mapping[str, str]:
        """See `Service.ready`."""
        return {"runner": "ready" if self._runner.is_alive else "has stopped"}

    async def nudge(self) -> None:
        """See `Service.nudge`."""
        self._runner.nudge()

    def close(self) -> None:
        """Give open jobs back."""
        self._runner.stop()

    def __enter__(self) -> LocalService:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def open_store(config: ServiceConfig) -> JobStore:
    """The job storage of a service; a path may begin with `~`."""
    storage = config.jobs.storage
    return JobStore(os.path.expanduser(storage) if storage.startswith("~") else storage, config.jobs)


def main() -> None:
    """Serve on the loopback until Ctrl-C or SIGTERM; open jobs are given back."""
    import uvicorn

    from serve.api import create_api

    parser = argparse.ArgumentParser(
        prog="python -m serve.local", description="The service in one process, without Ray; Ctrl-C ends it."
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="YAML of a ServiceConfig")
    parser.add_argument("--port", type=int, default=8000, metavar="N", help="on 127.0.0.1 (default: 8000)")
    add_overrides(parser, "limits.video_s=60")
    options = parser.parse_args()
    config = load_config(ServiceConfig, options.config, options.overrides)
    with LocalService(config) as service:
        spare_the_collector()
        server = uvicorn.Server(
            uvicorn.Config(create_api(service), host="127.0.0.1", port=options.port, log_level="warning")
        )
        print(f"http://127.0.0.1:{options.port}/ (Ctrl-C ends it)")
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # uvicorn passes signals on when it ends
        with suppress(KeyboardInterrupt):
            asyncio.run(server.serve())


if __name__ == "__main__":
    main()
