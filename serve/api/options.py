"""What a caller may choose about one dub, and how it becomes a `DubConfig`.

Drivers read the options of a stored job through the same functions, so this module knows no web framework.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from segtalker.config import apply_overrides, parse_config, to_dict
from segtalker.dub_config import DubConfig
from serve.api.edits import EDITS_EXAMPLE, Edits, with_names

MAX_FPS = 120
_PIXEL = r"[0-9]{1,5}(\.[0-9]{1,3})?"
_SPEAKER = rf"^(largest|photo|index:[0-9]{{1,4}}|track:[0-9]{{1,6}}|point:{_PIXEL},{_PIXEL})$"
_FPS = r"^[0-9]{1,9}(/[0-9]{1,9})?$"
_PATHS = {
    "sync_mode": "sync_mode",
    "speaker": "speaker",
    "spans_s": "plan.spans_s",
    "after_speech": "plan.after_speech",
    "fps": "plan.fps",
    "crf": "encode.crf",
    "save_maps": "save_maps",
    "max_yaw_deg": "plan.max_yaw_deg",
    "edits": "edits",
}
"""Option -> key of `DubConfig`."""


def _rate_text(value: Any) -> Any:
    """A whole number of frames as text; anything else is left to the pattern and the range."""
    value = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if isinstance(value, str):
        try:
            is_rate = 1 <= Fraction(value) <= MAX_FPS
        except (ValueError, ZeroDivisionError):
            is_rate = False
        if not is_rate:
            raise ValueError(f'write a rate in 1..{MAX_FPS}, as in "25" or "30000/1001"')
    return value


Second = Annotated[float, Field(ge=0, le=86400, allow_inf_nan=False)]
Span = Annotated[list[Second], Field(min_length=2, max_length=2, examples=[[0.5, 2.0]])]
Rate = Annotated[
    str,
    BeforeValidator(_rate_text),
    Field(pattern=_FPS),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": MAX_FPS},
                {"type": "string", "pattern": _FPS},
            ]
        }
    ),
]


class _Options(BaseModel):
    """What may be chosen about every video."""

    model_config = ConfigDict(extra="forbid", strict=True)

    speaker: str | None = Field(
        None,
        pattern=_SPEAKER,
        description="Who is changed: `largest`, `index:N` from the left, `point:X,Y` in pixels of the video, "
        "`track:N`, or `photo`, the person on the picture that was sent as `photo`.",
        examples=["largest"],
    )
    spans_s: Annotated[list[Span], Field(max_length=100)] | None = Field(
        None, description="Seconds [start, end) of the output to be changed; everything if left out."
    )
    fps: Rate | None = Field(
        None, description="Constant output rate; the video's own times if left out.", examples=["30000/1001"]
    )
    crf: int | None = Field(None, ge=0, le=51, description="x264 quality, 0 is lossless.")
    save_maps: bool | None = Field(None, description="Also make source | map | talking map | result.")
    max_yaw_deg: float | None = Field(
        None, ge=0, le=180, allow_inf_nan=False, description="Faces turned further stay as they are."
    )

    def chosen(self) -> dict[str, Any]:
        """Only what the caller chose."""
        return self.model_dump(exclude_none=True)


class DubOptions(_Options):
    """Choices about one dub; what is left out is as the operator of the service has set it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"speaker": "point:320,180", "sync_mode": "loop", "crf": 20},
                {"edits": "blink=0.2/s,lip=red@0.7"},
            ]
        }
    )

    sync_mode: Literal["cut_off", "loop", "bounce", "silence", "remap"] | None = Field(
        None, description="What happens when video and speech differ in length."
    )
    after_speech: Literal["close", "pass"] | None = Field(
        None, description="Once the speech is over: a closed mouth, or the video as it is."
    )
    edits: Edits | None = Field(None, description="What else changes about the face, and when.")


class EditOptions(_Options):
    """Choices about one edited video; what is left out is as the operator of the service has set it."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"edits": EDITS_EXAMPLE}]})

    edits: Annotated[Edits, Field(min_length=1)] = Field(
        description="What changes about the face, and when.",
    )


class PictureOptions(BaseModel):
    """Choices about one edited picture, which shows every edit at its full, and no blinks."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"edits": "lip=red@0.7,frown=0.5"}]}
    )

    speaker: str | None = Field(
        None, pattern=_SPEAKER, description="Whose face; as in DubOptions.", examples=["point:320,180"]
    )
    edits: Annotated[Edits, Field(min_length=1)] = Field(description="What changes about the face.")

    def chosen(self) -> dict[str, Any]:
        """Only what the caller chose."""
        return self.model_dump(exclude_none=True)


AnyOptions = DubOptions | EditOptions | PictureOptions
Files = Mapping[str, Path | str]
"""Name of an input, such as `photo` or `reference-1`, -> where it is."""


def dub_overrides(options: AnyOptions | Mapping[str, Any], files: Files | None = None) -> list[str]:
    """The options as `a.b=c` overrides of a `DubConfig`.

    files: where the uploaded `photo` is, with the speaker `photo`; and the files that edits name.
    """
    parsed = DubOptions.model_validate(options) if isinstance(options, Mapping) else options
    chosen, places = parsed.chosen(), {name: str(place) for name, place in (files or {}).items()}
    if chosen.get("speaker") == "photo":
        if "photo" not in places:
            raise ValueError("speaker is photo, but there is no photo")
        chosen["speaker"] = f"photo:{places['photo']}"
    if "edits" in chosen:
        chosen["edits"] = with_names(chosen["edits"], places)
    return [f"{_PATHS[name]}={json.dumps(value)}" for name, value in chosen.items()]


def dub_config(
    defaults: DubConfig, options: AnyOptions | Mapping[str, Any], files: Files | None = None
) -> DubConfig:
    """The configuration of one dub; `ConfigError` where the options do not go together."""
    return parse_config(DubConfig, apply_overrides(to_dict(defaults), dub_overrides(options, files)))
