"""The documents that go over the wire, with examples; /openapi.json is made of them."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from serve.api.options import DubOptions, EditOptions

EXAMPLE_ID = "jmfzwizlomrsw42lqorxxa5djn4"
JOB_ID = r"^j[a-z2-7]{26}$"
_URL = Field(max_length=2000, pattern=r"^(s3|https)://\S+$")


class ErrorDetail(BaseModel):
    """What went wrong."""

    code: str = Field(description="For programs: a word that does not change.")
    message: str = Field(description="For people: one sentence with a remedy.")


class ErrorBody(BaseModel):
    """Every answer that is not a success."""

    error: ErrorDetail


class DubRequest(BaseModel):
    """A dub whose files the service fetches itself, from places that its operator allows."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "video": "s3://studio/takes/talk.mp4",
                    "speech": "https://media.example.org/talk.de.wav",
                    "options": {"sync_mode": "loop"},
                }
            ]
        },
    )

    video: str = _URL
    speech: str = _URL
    photo: str | None = Field(None, max_length=2000, pattern=r"^(s3|https)://\S+$")
    options: DubOptions = DubOptions()  # type: ignore[call-arg]
    callback_url: str | None = Field(None, max_length=2000, pattern=r"^https://\S+$")

    def sources(self) -> dict[str, str]:
        """Name of an input -> where it is; what edits name comes to it."""
        named = {"video": self.video, "speech": self.speech, "photo": self.photo}
        return {name: url for name, url in named.items() if url is not None}


class EditRequest(BaseModel):
    """An edit of a video that the service fetches itself, from places that its operator allows."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "video": "s3://studio/takes/talk.mp4",
                    "options": {"edits": "hair=s3://studio/looks/ann.jpg@0.7"},
                }
            ]
        },
    )

    video: str = _URL
    photo: str | None = Field(None, max_length=2000, pattern=r"^(s3|https)://\S+$")
    options: EditOptions
    callback_url: str | None = Field(None, max_length=2000, pattern=r"^https://\S+$")

    def sources(self) -> dict[str, str]:
        """Name of an input -> where it is; what edits name comes to it."""
        named = {"video": self.video, "photo": self.photo}
        return {name: url for name, url in named.items() if url is not None}


class Links(BaseModel):
    """Paths of everything about a job."""

    self: str
    events: str
    video: str
    report: str
    maps: str
    stream: str

    @classmethod
    def of(cls, job: str) -> "Links":
        """Of the job with this id."""
        base = f"/v1/dubs/{job}"
        parts = ("events", "video", "report", "maps", "stream")
        return cls(self=base, **{part: f"{base}/{part}" for part in parts})


class Accepted(BaseModel):
    """The job exists, and no crash will lose it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": EXAMPLE_ID,
                    "state": "queued",
                    "links": Links.of(EXAMPLE_ID).model_dump(),
                }
            ]
        }
    )

    id: str
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    links: Links


class Stage(BaseModel):
    """How far one stage has come."""

    stage: str
    done: int
    total: int | None = None
    unit: str = "frame"


class JobBody(BaseModel):
    """A job as it stands. Times are UTC seconds."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": EXAMPLE_ID,
                    "state": "running",
                    "created": 1789.5,
                    "started": 1790.1,
                    "ended": None,
                    "attempts": 1,
                    "progress": [
                        {"stage": "finding faces", "done": 250, "total": 250, "unit": "frame"},
                        {"stage": "rendering", "done": 100, "total": 250, "unit": "frame"},
                    ],
                    "eta_s": 12.5,
                    "error": None,
                    "report": None,
                    "files": {},
                    "links": Links.of(EXAMPLE_ID).model_dump(),
                }
            ]
        }
    )

    id: str
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    created: float
    started: float | None = None
    ended: float | None = None
    attempts: int = Field(0, description="Drivers that have worked on it.")
    progress: list[Stage] = Field(default_factory=list, description="Stages in order; the last is current.")
    eta_s: float | None = Field(None, description="Seconds left of the current stage, where it is known.")
    error: str | None = Field(None, description="Why it failed, one sentence.")
    report: dict[str, Any] | None = Field(
        None, description="What was done to how many frames, and why; not in lists."
    )
    files: dict[str, int] = Field(default_factory=dict, description="Result -> bytes.")
    links: Links


class JobList(BaseModel):
    """The caller's newest jobs."""

    jobs: list[JobBody]


class FaceBody(BaseModel):
    """One face of a picture."""

    box: list[float] = Field(description="Left, top, right, bottom in pixels.", min_length=4, max_length=4)
    score: float
    yaw_deg: float = Field(description="0 is frontal.")
    crop_from_frame: list[list[float]] = Field(description="[2, 3], picture pixels -> crop pixels.")
    region_map: str = Field(description="Base64 of a grey PNG, S x S, labels 0..11.")


class ParseBody(BaseModel):
    """The faces of a picture, from left to right."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "width": 640,
                    "height": 360,
                    "faces": [
                        {
                            "box": [201.5, 80.0, 330.0, 251.0],
                            "score": 0.98,
                            "yaw_deg": -3.5,
                            "crop_from_frame": [[0.9, 0.0, -110.0], [0.0, 0.9, -40.0]],
                            "region_map": "iVBORw0KGgo=",
                        }
                    ],
                }
            ]
        }
    )

    width: int
    height: int
    faces: list[FaceBody]


class EditedBody(BaseModel):
    """An edited picture with the map of the face that was edited."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "width": 640,
                    "height": 360,
                    "picture": "iVBORw0KGgo=",
                    "crop_from_frame": [[0.9, 0.0, -110.0], [0.0, 0.9, -40.0]],
                    "region_map": "iVBORw0KGgo=",
                }
            ]
        }
    )

    width: int
    height: int
    picture: str = Field(description="Base64 of a PNG, as large as the picture that was sent.")
    crop_from_frame: list[list[float]] = Field(description="[2, 3], picture pixels -> crop pixels.")
    region_map: str = Field(description="Base64 of a grey PNG, S x S, labels 0..11, with the edits.")


class CodesBody(BaseModel):
    """Style codes, one row of layers for each of the 12 regions."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"shape": [12, 1, 2], "dtype": "float32", "codes": "AAAAAA=="}]},
    )

    shape: list[int] = Field(min_length=3, max_length=3, description="[12, L, D]")
    dtype: Literal["float32"] = "float32"
    codes: str = Field(description="Base64 of little-endian numbers, the last index fastest.")


class Health(BaseModel):
    """The process answers."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "alive"}]})

    status: Literal["alive"] = "alive"


class Readiness(BaseModel):
    """Whether work can be taken, and which part is not ready for what reason."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"ready": False, "parts": {"generator": "loading weights"}}]}
    )

    ready: bool
    parts: dict[str, str]
