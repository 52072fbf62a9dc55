from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster import local_cluster
from tests.serve.https_server import https_server  # noqa: F401 - a fixture


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    with local_cluster():
        yield
