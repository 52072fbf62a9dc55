"""The service as one Ray Serve application.

serve run serve.app:app                          # everything by default, on 127.0.0.1:8000
serve run serve.app:build config=service.yaml    # an operator's choices (`serve.config.ServiceConfig`)
serve deploy configs/serve.yaml                  # on a cluster
"""

# No postponed annotations here: Serve reads that of `build` to make its arguments.
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from ray import serve
from ray.serve.config import AutoscalingConfig

from segtalker.config import apply_overrides, load_yaml, parse_config, to_dict
from serve.config import ServiceConfig, StageConfig
from serve.deployments import STAGES
from serve.driver import Driver, FusedDriver, Ingress

_HEALTH: dict[str, Any] = {"health_check_period_s": 2.0, "health_check_timeout_s": 60.0}
"""Serve learns of a killed replica by these checks, and so they are frequent and cost nothing."""
_QUIET = {"enable_access_log": False}
_CALLS = 64  # that a driver holds at once: it is told of new jobs, and a fused one answers for pictures
_MANY = 1000  # uploads, events and streams that one ingress replica holds open


class Arguments(BaseModel):
    """Arguments of the application; keys of `service` and `set` are checked against `ServiceConfig`."""

    model_config = ConfigDict(extra="forbid")
    config: str | None = None
    """YAML file of a `ServiceConfig`, on the machine where the application is built."""
    service: dict[str, Any] = Field(default_factory=dict)
    """The same in place, on top of the file."""
    set: list[str] = Field(default_factory=list)
    """KEY=VALUE, on top of both."""


def build(args: Arguments) -> serve.Application:
    """The application, for `serve run` and for YAML files."""
    values = _merged(load_yaml(args.config) if args.config else {}, args.service)
    return compose(parse_config(ServiceConfig, apply_overrides(values, args.set)))


def compose(cfg: ServiceConfig) -> serve.Application:
    """Bind the deployments of a configuration to each other."""
    config, dub = to_dict(cfg), to_dict(cfg.dub)
    if cfg.graph == "fused":
        driver = _driver(cfg, FusedDriver).bind(config)
        stages = dict.fromkeys(STAGES, driver)
    else:
        stages = {name: _stage(name, getattr(cfg, name)).bind(dub, getattr(cfg, name)) for name in STAGES}
        driver = _driver(cfg, Driver).bind(config, stages)
    ingress: Any = serve.deployment(
        Ingress,
        name="Ingress",
        num_replicas=cfg.api.replicas,
        ray_actor_options={"num_cpus": cfg.api.cpus},
        max_ongoing_requests=_MANY,
        max_queued_requests=_MANY,
        logging_config=_QUIET,
        graceful_shutdown_timeout_s=30,
        **_HEALTH,
    )
    return ingress.bind(config, driver, stages)


def _merged(values: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """`more` on top of `values`, section by section."""
    merged = dict(values)
    for key, value in more.items():
        below = merged.get(key)
        nested = isinstance(below, Mapping) and isinstance(value, Mapping)
        merged[key] = _merged(below, value) if nested else value  # type: ignore[arg-type]
    return merged


def _stage(name: str, cfg: StageConfig) -> Any:
    """The deployment of one stage; a fixed number of replicas, or as many as its calls want."""
    scaling: dict[str, Any] = {"num_replicas": cfg.min_replicas}
    if cfg.max_replicas > cfg.min_replicas:
        scaling = {
            "autoscaling_config": AutoscalingConfig(
                min_replicas=cfg.min_replicas,
                max_replicas=cfg.max_replicas,
                target_ongoing_requests=cfg.target_ongoing,
                upscale_delay_s=cfg.upscale_s,
                downscale_delay_s=cfg.downscale_s,
                metrics_interval_s=min(2.0, cfg.upscale_s),
                look_back_period_s=max(5.0, cfg.upscale_s),
            )
        }
    return serve.deployment(
        STAGES[name],
        name=STAGES[name].__name__,
        ray_actor_options={"num_cpus": cfg.cpus, "num_gpus": cfg.gpus},
        max_ongoing_requests=cfg.ongoing,
        max_queued_requests=cfg.queued,
        logging_config=_QUIET,
        graceful_shutdown_timeout_s=60,
        **scaling,
        **_HEALTH,
    )


def _driver(cfg: ServiceConfig, kind: type) -> Any:
    return serve.deployment(
        kind,
        name="Driver",
        num_replicas=cfg.driver.replicas,
        ray_actor_options={"num_cpus": cfg.driver.cpus, "num_gpus": cfg.driver.gpus},
        max_ongoing_requests=_CALLS,
        max_queued_requests=_CALLS,
        logging_config=_QUIET,
        graceful_shutdown_timeout_s=60,
        **_HEALTH,
    )


app = compose(ServiceConfig())
"""The application with everything by default."""
