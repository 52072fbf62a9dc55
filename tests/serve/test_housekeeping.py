"""What a driver does beside its jobs goes on, whatever fails."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from segtalker.errors import StorageError
from serve import housekeeping
from serve.config import CallbacksConfig
from serve.housekeeping import Housekeeper
from tests.serve.running import wait_for


@pytest.fixture
def quickly(monkeypatch):
    monkeypatch.setattr(housekeeping, "_CALLS_S", 0.01)
    monkeypatch.setattr(housekeeping, "_SWEEP_S", 0.02)


@pytest.mark.parametrize("error", [StorageError("the bucket is away"), ValueError("a mistake of ours")])
def test_sweeping_goes_on_after_an_error_and_ends_when_told(quickly, caplog, error):
    swept: list[float] = []

    def sweep(now: float) -> None:
        swept.append(now)
        if len(swept) == 1:
            raise error

    keeper = Housekeeper(SimpleNamespace(sweep=sweep), CallbacksConfig())
    wait_for(lambda: len(swept) >= 3)
    keeper.stop()
    assert not keeper._thread.is_alive() and "housekeeping" in caplog.text
    assert (str(error) in caplog.text) and len(caplog.records) == 1


@pytest.mark.parametrize("hosts", [(), ("media.example.org",)])
def test_calls_are_made_where_the_operator_allows_hosts(quickly, monkeypatch, hosts):
    called, swept = [], []
    monkeypatch.setattr(housekeeping, "deliver_due", lambda store, cfg: called.append(cfg.https_hosts))
    keeper = Housekeeper(SimpleNamespace(sweep=swept.append), CallbacksConfig(https_hosts=hosts))
    wait_for(lambda: len(swept) >= 2)
    keeper.stop()
    assert set(called) == ({hosts} if hosts else set())
