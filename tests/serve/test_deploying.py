"""What `serve deploy` makes of configs/serve.yaml, short of a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cloudpickle
import pytest
import yaml
from pydantic import ValidationError
from ray._common.utils import import_attr
from ray.serve._private.api import call_user_app_builder_with_args_if_necessary
from ray.serve._private.build_app import BuiltApplication, build_app
from ray.serve.schema import ServeDeploySchema

from segtalker.config import parse_config
from segtalker.errors import ConfigError
from serve.config import ServiceConfig

ROOT = Path(__file__).parents[2]
FILE = ROOT / "configs/serve.yaml"


def built(application: Any) -> BuiltApplication:
    """As the controller of Serve builds an application of a file, in this process."""
    builder = import_attr(application.import_path)
    app = call_user_app_builder_with_args_if_necessary(builder, application.args)
    app = build_app(app, name=application.name, route_prefix=application.route_prefix)
    app.validate_single_fastapi_ingress()
    return app


def schema(**changes: Any) -> ServeDeploySchema:
    """The file as Ray reads it, with keys of its application changed."""
    values = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    values["applications"][0] |= changes
    return ServeDeploySchema.model_validate(values)


def test_the_file_is_one_application_on_the_loopback():
    read = schema()
    (application,) = read.applications
    assert (application.name, application.route_prefix) == ("segtalker", "/")
    assert (read.http_options.host, read.http_options.port) == ("127.0.0.1", 8000)


def test_its_import_path_builds_the_graph_that_its_arguments_describe():
    (application,) = schema().applications
    cfg = parse_config(ServiceConfig, application.args["service"])
    app = built(application)
    deployments = {deployment.name: deployment for deployment in app.deployments}
    assert app.ingress_deployment_name == "Ingress"
    assert set(deployments) == {"Ingress", "Driver", "Faces", "Talker", "Encoder", "Generator"}
    assert deployments["Driver"].num_replicas == cfg.driver.replicas >= 2
    scaling = deployments["Generator"]._deployment_config.autoscaling_config
    assert (scaling.min_replicas, scaling.max_replicas) == (1, 2)
    for name, part in (("Faces", cfg.faces), ("Generator", cfg.generator), ("Ingress", cfg.api)):
        assert deployments[name].ray_actor_options["num_cpus"] == part.cpus
    assert all(deployment.max_queued_requests > 0 for deployment in app.deployments)


def test_whatever_a_replica_is_made_of_travels_to_its_node():
    (application,) = schema().applications
    for deployment in built(application).deployments:
        assert cloudpickle.loads(cloudpickle.dumps(deployment.func_or_class))
        assert deployment._replica_config.serialized_init_args


def test_the_default_application_builds_as_well():
    (application,) = schema(import_path="serve.app:app", args={}).applications
    assert len(built(application).deployments) == 6


@pytest.mark.parametrize(
    "args",
    [{"service": {"genrator": {}}}, {"servise": {}}, {"set": ["driver.chunk=3"]}, {"config": "absent.yaml"}],
)
def test_arguments_that_are_wrong_stop_the_deployment_before_it_begins(args):
    (application,) = schema(args=args).applications
    with pytest.raises((ConfigError, ValidationError)):
        built(application)


def test_ray_refuses_an_import_path_that_is_none():
    with pytest.raises(ValidationError, match="import_path|nonsense"):
        schema(import_path="nonsense")
