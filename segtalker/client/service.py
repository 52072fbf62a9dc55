"""The service as Python calls: submit a dub, follow it, fetch what came of it."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from segtalker.client.bodies import Body, form_body, json_body
from segtalker.client.edits import REMOTE, GivenEdits, SentEdits, read_given
from segtalker.client.transport import Answer, Patience, Retries, ServiceError, Transport, Unavailable
from segtalker.errors import MediaError
from segtalker.progress import OnProgress, Progress, ignore_progress
from segtalker.report import maps_path, report_path

_ENDED = ("done", "failed", "cancelled")


class Client:
    """One service. May be shared by threads; every call has time limits and repeats what may be repeated."""

    def __init__(
        self, url: str, token: str | None = None, timeout_s: float = 30.0, retries: Retries | None = None
    ) -> None:
        """url: as in `http://localhost:8000`. timeout_s: longest wait for any step of a request."""
        self.retries = retries or Retries()
        self._transport = Transport(url, token, timeout_s, self.retries)

    def dub(
        self,
        video: Path | str,
        speech: Path | str,
        output: Path | str,
        photo: Path | str | None = None,
        edits: GivenEdits | None = None,
        on_progress: OnProgress = ignore_progress,
        timeout_s: float | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        """Dub a clip from beginning to end; `output` appears complete or not at all.

        video, speech: files, or `s3://` and `https://` addresses that the service allows. photo: of the
        person to dub, with `speaker="photo"`. edits: as `--edit` takes them, a recipe's file or a list of
        edits; files that they name are sent along. options: those of the service's OpenAPI (`sync_mode`,
        `crf`, `save_maps`...). timeout_s: gives up after this. Returns the report, which is also written
        beside the output, as `SegTalker.dub` does. An interruption cancels the job.
        """
        output = _in_a_folder(output)
        job = self.submit(video, speech, photo, edits=edits, **options)
        return self._bring(job, output, on_progress, timeout_s)

    def edit(
        self,
        video: Path | str,
        output: Path | str,
        edits: GivenEdits,
        photo: Path | str | None = None,
        on_progress: OnProgress = ignore_progress,
        timeout_s: float | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        """Change a face in a video that keeps its sound and its mouth; all else as in `dub`."""
        output = _in_a_folder(output)
        inputs = {"video": video, "photo": photo}
        job = self._submit("/v1/edit", _body(inputs, None, edits, options), None)
        return self._bring(job, output, on_progress, timeout_s)

    def edit_picture(
        self, picture: Path | str, edits: GivenEdits, photo: Path | str | None = None, **options: Any
    ) -> bytes:
        """A PNG of a picture with its edits at their full, and without blinks, at once."""
        files = {"image": picture, "photo": photo}
        given = {name: Path(value) for name, value in files.items() if value is not None}
        sent = read_given(edits)
        fields = {"options": json.dumps({**options, "edits": sent.values})}
        body = form_body(fields, given, sent.references)
        return self._transport.content("POST", "/v1/edit:picture", body)

    def _bring(
        self, job: Job, output: Path, on_progress: OnProgress, timeout_s: float | None
    ) -> dict[str, Any]:
        """Wait for a job and fetch all that came of it."""
        try:
            view = job.wait(on_progress, timeout_s)
        except BaseException:
            with contextlib.suppress(ServiceError):
                job.cancel()
            raise
        job.download(report_path(output), "report")
        if "maps" in view.get("files", {}):
            job.download(maps_path(output), "maps")
        job.download(output)
        return json.loads(report_path(output).read_bytes())

    def submit(
        self,
        video: Path | str,
        speech: Path | str,
        photo: Path | str | None = None,
        callback_url: str | None = None,
        key: str | None = None,
        edits: GivenEdits | None = None,
        **options: Any,
    ) -> Job:
        """Hand a dub over; it is accepted exactly once, however often the request has to be repeated.

        key: names the request; the same key later finds the same job.
        """
        inputs = {"video": video, "speech": speech, "photo": photo}
        return self._submit("/v1/dubs", _body(inputs, callback_url, edits, options), key)

    def _submit(self, path: str, body: Body, key: str | None) -> Job:
        accepted = self._transport.json("POST", path, body, key or secrets.token_hex(16))
        return Job(self._transport, accepted["id"])

    def stream(
        self,
        video: Path | str,
        speech: Path | str,
        photo: Path | str | None = None,
        key: str | None = None,
        pause_s: float = 600.0,
        edits: GivenEdits | None = None,
        **options: Any,
    ) -> Iterator[bytes]:
        """The dub as fragmented MP4 while it is made; closing the iterator early cancels the job.

        Returns when the first bytes are there. pause_s: longest wait for more.
        """
        body = _body({"video": video, "speech": speech, "photo": photo}, None, edits, options)
        key = key or secrets.token_hex(16)
        transport = self._transport
        return _pieces(
            transport.retrying(lambda: transport.open("POST", "/v1/dubs:stream", body, key, pause_s=pause_s))
        )

    def job(self, job_id: str) -> Job:
        """A job that was submitted before."""
        return Job(self._transport, job_id)

    def jobs(self) -> list[dict[str, Any]]:
        """Views of the newest jobs of this token."""
        answer = self._transport.json("GET", "/v1/dubs")
        return answer["jobs"] if isinstance(answer, dict) else answer

    def parse(self, picture: Path | str) -> dict[str, Any]:
        """Size of a picture and its `faces`, the `region_map` of each as the bytes of a grey PNG."""
        parsed = self._transport.json("POST", "/v1/parse", form_body({}, {"image": Path(picture)}))
        for face in parsed["faces"]:
            face["region_map"] = base64.b64decode(face["region_map"])
        return parsed

    def encode(self, picture: Path | str, face: int = 0) -> dict[str, Any]:
        """Style codes of a face (its number in `parse`), as `render` takes them."""
        body = form_body({"face": str(face)}, {"image": Path(picture)})
        return self._transport.json("POST", "/v1/encode", body)

    def render(self, region_map: bytes, codes: Mapping[str, Any]) -> bytes:
        """A PNG of the face with these style codes and this region map, a grey PNG of labels 0..11."""
        body = form_body({"codes": json.dumps(codes)}, {"map": region_map})
        return self._transport.content("POST", "/v1/render", body)

    def models(self) -> dict[str, Any]:
        """The networks of the service, with sizes and hashes."""
        return self._transport.json("GET", "/v1/models")


class Job:
    """One accepted dub."""

    def __init__(self, transport: Transport, job_id: str) -> None:
        self.id = job_id
        self._transport = transport
        self._path = f"/v1/dubs/{quote(job_id, safe='')}"

    def view(self) -> dict[str, Any]:
        """State, progress, ETA, error and files, now."""
        return self._transport.json("GET", self._path)

    def wait(
        self, on_progress: OnProgress = ignore_progress, timeout_s: float | None = None
    ) -> dict[str, Any]:
        """Follow the job to its end; `ServiceError` where it failed, was cancelled or lasts too long."""
        view: dict[str, Any] = {}
        for view in self.events(timeout_s):
            if view.get("progress"):
                latest = view["progress"][-1]
                on_progress(Progress(*(latest[name] for name in ("stage", "done", "total", "unit"))))
        if view["state"] != "done":
            raise ServiceError(view.get("error") or f"{self.id}: was {view['state']}.", code=view["state"])
        return view

    def events(self, timeout_s: float | None = None) -> Iterator[dict[str, Any]]:
        """Views of the job whenever it has changed, the last one of its end; a lost connection is renewed."""
        end = time.monotonic() + (float("inf") if timeout_s is None else timeout_s)
        patience = Patience(self._transport.retries)
        latest = None
        while latest is None or latest["state"] not in _ENDED:
            try:
                for view in self._listen(end):
                    patience.renew()
                    if view != latest:
                        latest = view
                        yield view
            except Unavailable as error:
                if time.monotonic() < end:
                    patience.wait_after(error)
            if time.monotonic() >= end:
                raise ServiceError(f"{self.id}: has not ended within {timeout_s} s. Wait on, or cancel it.")

    def download(
        self, output: Path | str, what: str = "video", on_progress: OnProgress = ignore_progress
    ) -> None:
        """Fetch a result (`video`, `report`, `maps`); goes on where a former attempt was cut.

        `output` appears complete; until then a hidden file beside it holds what has come.
        """
        output = Path(output)
        part = output.with_name(f".{output.name}.{self.id}.{what}.part")
        patience = Patience(self._transport.retries)
        while True:
            size = part.stat().st_size if part.exists() else 0
            try:
                self._fetch(part, size, what, on_progress)
                break
            except Unavailable as error:
                if part.exists() and part.stat().st_size > size:
                    patience.renew()
                patience.wait_after(error)
        os.replace(part, output)

    def cancel(self) -> dict[str, Any]:
        """End the job if it has not ended; its view. One that has ended by itself stays as it is."""
        return self._transport.json("DELETE", f"{self._path}?keep_ended=true")

    def delete(self) -> None:
        """Remove all of the job, cancelling it before if it has not ended."""
        self.cancel()
        try:
            self._transport.content("DELETE", self._path)
        except ServiceError as error:
            if error.status != 404:  # an attempt whose answer was lost had removed it
                raise

    def _listen(self, end: float) -> Iterator[dict[str, Any]]:
        """Views from one connection, up to the end of the stream or of the time."""
        pause_s = min(self._transport.timeout_s, max(0.01, end - time.monotonic()))
        headers = {"Accept": "text/event-stream"}
        with closing(
            self._transport.open("GET", f"{self._path}/events", headers=headers, pause_s=pause_s)
        ) as answer:
            kind, data = "", ""
            for line in answer.lines():
                if time.monotonic() >= end:
                    return
                name, _, value = line.partition(":")
                if name == "event":
                    kind = value.strip()
                elif name == "data":
                    data += value.strip()
                elif not line:
                    if kind == "end":
                        break
                    if kind == "progress":
                        yield json.loads(data)
                    kind, data = "", ""
        view = self.view()
        yield view
        if view["state"] not in _ENDED:
            raise Unavailable(f"{self.id}: its events ended before it did. Look into the log of the service.")

    def _fetch(self, part: Path, start: int, what: str, on_progress: OnProgress) -> None:
        """Append to `part` from byte `start`, or write it anew where the service sends all of it."""
        headers = {"Range": f"bytes={start}-"} if start else {}
        try:
            answer = self._transport.open("GET", f"{self._path}/{what}", headers=headers)
        except ServiceError as error:
            if start and error.status == 416:  # nothing is left, or it is another file
                part.unlink()
                raise Unavailable(str(error), 416) from error
            raise
        with closing(answer):
            resumed = answer.status == 206
            size = start if resumed else 0
            length = answer.headers.get("Content-Length")
            total = None if length is None else size + int(length)
            with part.open("ab" if resumed else "wb") as file:
                for block in answer.blocks():
                    file.write(block)
                    size += len(block)
                    on_progress(Progress(f"fetching {what}", size, total, "B"))


def _in_a_folder(output: Path | str) -> Path:
    output = Path(output)
    if not output.parent.is_dir():
        raise MediaError(f"{output.parent}: no such folder. Make it first.")
    return output


def _body(
    inputs: Mapping[str, Path | str | None],
    callback_url: str | None,
    edits: GivenEdits | None,
    options: Mapping[str, Any],
) -> Body:
    """The request for a job: a form of files, or JSON of addresses."""
    given = {name: str(value) for name, value in inputs.items() if value is not None}
    sent = SentEdits([]) if edits is None else read_given(edits)
    chosen = {**options, "edits": sent.values} if edits is not None else dict(options)
    remote = {name for name, value in given.items() if value.startswith(REMOTE)}
    callback = {"callback_url": callback_url} if callback_url else {}
    if remote:
        if remote != set(given) or sent.references:
            raise ServiceError("name all inputs by s3:// or https:// addresses, or all as files.")
        return json_body({**given, "options": chosen, **callback})
    fields = {"options": json.dumps(chosen), **callback}
    return form_body(fields, {name: Path(value) for name, value in given.items()}, sent.references)


def _pieces(answer: Answer) -> Iterator[bytes]:
    with closing(answer):
        yield from answer.blocks()
