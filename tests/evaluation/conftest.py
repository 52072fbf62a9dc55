"""What tests of evaluation share."""

from __future__ import annotations

import pytest

from segtalker.evaluation import run, scoring
from tests.evaluation.fake_score import FakeTools


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> FakeTools:
    """Scoring by `FakeTools`, in this process."""
    fake = FakeTools()
    monkeypatch.setattr(run, "load_tools", lambda protocol: fake)
    monkeypatch.setattr(scoring, "score_row", fake.score)
    return fake
