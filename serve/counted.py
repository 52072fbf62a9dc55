"""Which stage a verb belongs to, and stages of one process that are counted as those of replicas are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, wraps
from typing import Any

from segtalker.extract import CropParser
from segtalker.faces.detect import FaceBackend
from segtalker.stages import Networks, Stages
from serve.metrics import StageMetrics

FACE_VERBS = ("detect", "follow", "follow_through", "matte", "landmarks68", "embed")
PARSER_VERBS = ("mattes", "fit", "parse")
STAGE_OF = {
    **dict.fromkeys((*FACE_VERBS, *PARSER_VERBS), "Faces"),
    "talk": "Talker",
    "encode": "Encoder",
    "paint": "Generator",
}
"""Verb -> the deployment of the split graph that answers it."""
_BY_FRAMES = frozenset({"follow_through", "mattes", "parse", "talk", "encode", "paint"})
"""Verbs whose first argument has several frames."""


def frames_of(verb: str, args: Sequence[Any]) -> int:
    """Frames that one call brings."""
    return len(args[0]) if verb in _BY_FRAMES else 1


class CountedStages:
    """`Stages` whose every call is counted; a batch is one call, as nobody joins those of several jobs."""

    def __init__(self, stages: Stages, metrics: Mapping[str, StageMetrics]) -> None:
        """metrics: verb -> where its calls are counted."""
        self._stages, self._metrics = stages, metrics

    @cached_property
    def backend(self) -> FaceBackend:
        """Finds and follows faces."""
        return self._counting(self._stages.backend, FACE_VERBS)

    @cached_property
    def parser(self) -> CropParser:
        """Makes region maps of crops."""
        return self._counting(self._stages.parser, PARSER_VERBS)

    @cached_property
    def networks(self) -> Networks:
        """Talk, encode and paint."""
        inner = self._stages.networks
        return replace(
            inner,
            talker=self._counting(inner.talker, ("talk",)),
            painter=self._counting(inner.painter, ("encode", "paint")),
        )

    def _counting(self, inner: Any, verbs: Iterable[str]) -> Any:
        return _Counted(inner, {verb: self._metrics[verb] for verb in verbs})


class _Counted:
    """An object as it is, but for the verbs that are counted."""

    def __init__(self, inner: Any, metrics: Mapping[str, StageMetrics]) -> None:
        self._inner, self._metrics = inner, metrics

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        return _counted(value, name, self._metrics[name]) if name in self._metrics else value


def _counted(call: Callable[..., Any], verb: str, metrics: StageMetrics) -> Callable[..., Any]:
    @wraps(call)
    def counted(*args: Any, **named: Any) -> Any:
        with metrics.waiting(), metrics.batch(calls=1, frames=frames_of(verb, args)):
            return call(*args, **named)

    return counted
