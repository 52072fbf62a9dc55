"""The HTTP side of the service: `create_api(service)` is the application, everything else its parts.

No module here imports Ray, and importing the package starts nothing: the probe of uploads is one of its
modules and must not wait for a web framework, nor pay for it out of its bounded memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import FastAPI

    from serve.api.service import Service


def create_api(service: Service) -> FastAPI:
    """The application in front of `service`; call it where requests will be answered."""
    from serve.api.app import build

    return build(service)
