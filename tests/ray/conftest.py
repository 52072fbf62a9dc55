from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster import local_cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    with local_cluster():
        yield
