"""Dub over HTTP: a client of the service in `serve/` that needs the standard library alone.

from segtalker.client import Client

Client("http://localhost:8000").dub("talk.mp4", "speech.wav", "out.mp4", sync_mode="loop")
"""

from segtalker.client.service import Client, Job
from segtalker.client.transport import Retries, ServiceError

__all__ = ["Client", "Job", "Retries", "ServiceError"]
