"""Take in a dub: read the request, look at its files, and make the job exist."""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fastapi import Request
from pydantic import ValidationError

from segtalker.dub_config import DubConfig
from segtalker.errors import ConfigError
from serve.addresses import AddressRefused, check_https_url
from serve.api.auth import Caller
from serve.api.bodies import Room, read_body
from serve.api.context import Context
from serve.api.errors import ApiError, validation_error
from serve.api.limits import check_open_jobs, check_output
from serve.api.looking import Kind
from serve.api.options import DubOptions, dub_config
from serve.api.schemas import DubRequest
from serve.api.threads import all_of, in_thread
from serve.api.uploads import Form, Upload, read_form
from serve.jobs import JobConflict, JobRequest, JobView, job_id, random_job_id

_FILES = ("video", "speech", "photo")
_KINDS: Mapping[str, Kind] = {"video": "video", "speech": "speech", "photo": "picture"}
_FORM_BYTES = 256 << 10
"""What a body may have beside its files."""
_MAX_KEY = 200


@dataclass(frozen=True)
class Wanted:
    """A request whose files are on disk."""

    files: Mapping[str, Upload]
    options: DubOptions
    callback_url: str | None

    def fingerprint(self) -> str:
        """The same for the same request: what is in the files counts, not their names."""
        sent = {
            "files": {name: upload.sha256 for name, upload in sorted(self.files.items())},
            "options": self.options.chosen(),
            "callback_url": self.callback_url,
        }
        return hashlib.sha256(json.dumps(sent, sort_keys=True).encode()).hexdigest()


async def accept_dub(context: Context, request: Request, caller: Caller) -> JobView:
    """The job that a request asks for: a new one, or the one that the same request made before."""
    try:
        job, may_exist = _name_job(request, caller)
        await _check_room(context, caller, job if may_exist else None)
        with context.uploading.take(caller.name), context.scratch.folder() as folder:
            wanted = await _read(context, request, folder)
            cfg = _check_options(context, wanted)
            files = wanted.files.items()
            looks = (context.looker.look(file.path, _KINDS[name], name) for name, file in files)
            seen = dict(zip(wanted.files, await all_of(*looks), strict=True))
            check_output(context.limits, cfg.sync_mode, seen["video"].found, seen["speech"].found)
            view, is_new = await _store(context, job, wanted, caller)
    except ApiError as error:
        context.audit.write("refused", caller, code=error.code)
        raise
    sizes = {name: upload.num_bytes for name, upload in wanted.files.items()}
    context.audit.write("accepted" if is_new else "repeated", caller, view.id, bytes=sizes)
    if is_new:
        await context.service.nudge()
    return view


def _name_job(request: Request, caller: Caller) -> tuple[str, bool]:
    """The id of the job, and whether it may be there already."""
    key = request.headers.get("idempotency-key")
    if key is None:
        return random_job_id(), False
    if not 1 <= len(key) <= _MAX_KEY or not (key.isascii() and key.isprintable()):
        raise ApiError(
            422, "invalid_request", f"Idempotency-Key: send 1 to {_MAX_KEY} printable ASCII characters."
        )
    return job_id(caller.name, key), True


async def _check_room(context: Context, caller: Caller, job: str | None) -> None:
    """Refuse what is too much before its body is read; a repetition adds nothing."""
    if job is not None and await in_thread(context.store.view, job) is not None:
        return
    mine = await in_thread(context.store.num_open, caller.name)
    everyones = await in_thread(context.store.num_open)
    coming = context.uploading
    check_open_jobs(context.limits, mine + coming.of(caller.name), everyones + coming.total())


async def _read(context: Context, request: Request, folder: Path) -> Wanted:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        room = Room(int(context.limits.upload_mb * 1e6), _FORM_BYTES)
        form = await read_form(request, context.limits, folder, _FILES, ("options", "callback_url"), room)
        return _from_form(form)
    if kind != "application/json":
        raise ApiError(
            415,
            "unsupported_media_type",
            "Send multipart/form-data with files, or application/json with URLs.",
        )
    body = await read_body(request, context.limits)
    try:
        asked = DubRequest.model_validate_json(body)
    except ValidationError as error:
        raise validation_error(error, "") from None
    for name, url in asked.sources().items():
        context.fetcher.check(url, name)  # all of them before the first is fetched
    files = await context.fetcher.fetch(asked.sources(), folder)
    return Wanted(files, asked.options, asked.callback_url)


def _from_form(form: Form) -> Wanted:
    for name in ("video", "speech"):
        if name not in form.files:
            raise ApiError(422, "missing_part", f"The part {name!r} is missing; send it as a file.")
    try:
        options = DubOptions.model_validate_json(form.fields.get("options") or "{}")
    except ValidationError as error:
        raise validation_error(error, "options") from None
    return Wanted(form.files, options, form.fields.get("callback_url") or None)


def _check_options(context: Context, wanted: Wanted) -> DubConfig:
    """What pydantic cannot see: whether choices, files and the operator's configuration go together."""
    asks_photo, has_photo = wanted.options.speaker == "photo", "photo" in wanted.files
    if asks_photo and not has_photo:
        raise ApiError(422, "missing_part", "options.speaker is photo, but no photo was sent; send one.")
    if has_photo and not asks_photo:
        raise ApiError(
            422, "invalid_request", "A photo was sent; set options.speaker to photo, or leave it out."
        )
    try:
        cfg = dub_config(context.service.config.dub, wanted.options, photo="photo" if has_photo else None)
    except ConfigError as error:
        raise ApiError(422, "invalid_request", f"options: {error}") from None
    if wanted.callback_url is not None:
        try:
            check_https_url(wanted.callback_url, context.service.config.callbacks.https_hosts)
        except AddressRefused as error:
            raise ApiError(422, "callback_not_allowed", f"callback_url: {error}") from None
    return cfg


async def _store(context: Context, job: str, wanted: Wanted, caller: Caller) -> tuple[JobView, bool]:
    request = JobRequest(
        id=job,
        owner=caller.name,
        created=time.time(),
        options=wanted.options.chosen(),
        inputs={name: upload.record() for name, upload in wanted.files.items()},
        callback_url=wanted.callback_url,
        fingerprint=wanted.fingerprint(),
    )
    paths = {name: upload.path for name, upload in wanted.files.items()}
    try:
        return await in_thread(context.store.create, request, paths)
    except JobConflict:
        raise ApiError(
            409,
            "idempotency_conflict",
            "This Idempotency-Key was used for another request; take a new key, or send the same again.",
        ) from None
