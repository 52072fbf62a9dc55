"""Take in a dub or an edit: read the request, look at its files, and make the job exist."""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from fastapi import Request
from pydantic import ValidationError

from segtalker.compositing.frame_plan import SyncMode
from segtalker.dub_config import DubConfig
from segtalker.editing.files import named_files
from segtalker.errors import ConfigError
from serve.addresses import AddressRefused, check_https_url
from serve.api.auth import Caller
from serve.api.bodies import Room, read_body
from serve.api.context import Context
from serve.api.edits import reference_name, with_names
from serve.api.errors import ApiError, validation_error
from serve.api.limits import check_open_jobs, check_output
from serve.api.looking import Kind
from serve.api.options import AnyOptions, DubOptions, EditOptions, dub_config
from serve.api.schemas import DubRequest, EditRequest
from serve.api.threads import all_of, in_thread
from serve.api.uploads import REFERENCE, Form, Upload, read_form
from serve.jobs import JobConflict, JobRequest, JobView, job_id, random_job_id

_KINDS: Mapping[str, Kind] = {"speech": "speech", "photo": "picture"}
"""What an input must be; all others are films or still pictures, or what edits have fitted."""
_FITTED = ".safetensors"
_FORM_BYTES = 256 << 10
"""What a body may have beside its files."""
_MAX_KEY = 200


@dataclass(frozen=True)
class JobKind:
    """What requests for one kind of job look like."""

    needs: tuple[str, ...]
    """Files that must be sent; `photo` and references may be."""
    options: type[AnyOptions]
    body: type[DubRequest | EditRequest]


DUB = JobKind(("video", "speech"), DubOptions, DubRequest)
EDIT = JobKind(("video",), EditOptions, EditRequest)
"""A dub without speech: the video keeps its sound and its mouth."""


@dataclass(frozen=True)
class Wanted:
    """A request whose files are on disk; its edits name them as the job does."""

    files: Mapping[str, Upload]
    options: AnyOptions
    callback_url: str | None

    def fingerprint(self) -> str:
        """The same for the same request: what is in the files counts, not their names."""
        sent = {
            "files": {name: upload.sha256 for name, upload in sorted(self.files.items())},
            "options": self.options.chosen(),
            "callback_url": self.callback_url,
        }
        return hashlib.sha256(json.dumps(sent, sort_keys=True).encode()).hexdigest()


async def accept_job(context: Context, request: Request, caller: Caller, kind: JobKind) -> JobView:
    """The job that a request asks for: a new one, or the one that the same request made before."""
    try:
        job, may_exist = _name_job(request, caller)
        await _check_room(context, caller, job if may_exist else None)
        with context.uploading.take(caller.name), context.scratch.folder() as folder:
            wanted = await _read(context, request, folder, kind)
            cfg = checked_config(context, wanted)
            _check_callback(context, wanted)
            await _look_at(context, wanted, cfg)
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


async def _read(context: Context, request: Request, folder: Path, kind: JobKind) -> Wanted:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == "multipart/form-data":
        room = Room(int(context.limits.upload_mb * 1e6), _FORM_BYTES)
        names = (*kind.needs, "photo", REFERENCE)
        form = await read_form(request, context.limits, folder, names, ("options", "callback_url"), room)
        return read_wanted(form, kind.needs, kind.options)
    if media_type != "application/json":
        raise ApiError(
            415,
            "unsupported_media_type",
            "Send multipart/form-data with files, or application/json with URLs.",
        )
    body = await read_body(request, context.limits)
    try:
        asked = kind.body.model_validate_json(body)
    except ValidationError as error:
        raise validation_error(error, "") from None
    addresses = named_files(asked.options.edits or [])
    lent = {reference_name(i): url for i, url in enumerate(addresses, start=1)}
    sources = asked.sources() | lent
    for name, url in sources.items():
        context.fetcher.check(url, name)  # all of them before the first is fetched
    files = await context.fetcher.fetch(sources, folder)
    options = _renamed(asked.options, {url: name for name, url in lent.items()})
    return Wanted(files, options, asked.callback_url)


def read_wanted(form: Form, needs: tuple[str, ...], options: type[AnyOptions]) -> Wanted:
    """What a form asks for; `ApiError` 422 where a part is missing, or parts and options do not fit."""
    for name in needs:
        if name not in form.files:
            raise ApiError(422, "missing_part", f"The part {name!r} is missing; send it as a file.")
    try:
        chosen = options.model_validate_json(form.fields.get("options") or "{}")
    except ValidationError as error:
        raise validation_error(error, "options") from None
    lent = {upload.file_name: name for name, upload in form.files.items() if name.startswith(REFERENCE)}
    _check_references(form, lent, named_files(chosen.edits or []))
    return Wanted(form.files, _renamed(chosen, lent), form.fields.get("callback_url") or None)


def _check_references(form: Form, lent: Mapping[str, str], wanted: list[str]) -> None:
    """Every file that edits name was sent, each under a name of its own, and no other.

    lent: file name of a part -> its name among the inputs.
    """
    if len(lent) < sum(name.startswith(REFERENCE) for name in form.files):
        raise ApiError(422, "repeated_part", "Two reference parts have one file name; rename one of them.")
    for name in wanted:
        if name not in lent:
            raise ApiError(
                422,
                "missing_part",
                f"options.edits: {name[:120]!r} was not sent; send it as a `reference` part of this name.",
            )
    for name in lent:
        if name not in wanted:
            raise ApiError(
                422, "invalid_request", f"No edit names the reference {name!r}; leave it out, or name it."
            )


def _renamed(options: AnyOptions, names: Mapping[str, str]) -> AnyOptions:
    """The options with edits that name files as the job does."""
    if options.edits is None:
        return options
    return options.model_copy(update={"edits": with_names(options.edits, names)})


def checked_config(context: Context, wanted: Wanted) -> DubConfig:
    """What pydantic cannot see: whether choices, files and the operator's configuration go together."""
    asks_photo, has_photo = wanted.options.speaker == "photo", "photo" in wanted.files
    if asks_photo and not has_photo:
        raise ApiError(422, "missing_part", "options.speaker is photo, but no photo was sent; send one.")
    if has_photo and not asks_photo:
        raise ApiError(
            422, "invalid_request", "A photo was sent; set options.speaker to photo, or leave it out."
        )
    places = {name: upload.path for name, upload in wanted.files.items()}
    try:
        return dub_config(context.service.config.dub, wanted.options, places)
    except ConfigError as error:
        raise ApiError(422, "invalid_request", f"options: {error}") from None


def _check_callback(context: Context, wanted: Wanted) -> None:
    if wanted.callback_url is None:
        return
    try:
        check_https_url(wanted.callback_url, context.service.config.callbacks.https_hosts)
    except AddressRefused as error:
        raise ApiError(422, "callback_not_allowed", f"callback_url: {error}") from None


async def _look_at(context: Context, wanted: Wanted, cfg: DubConfig) -> None:
    """Decode the beginning of every file, and refuse what would last too long."""
    files = wanted.files.items()
    looks = (
        context.looker.look(file.path, kind_of(name, file, "video"), told_name(name, file))
        for name, file in files
    )
    seen = dict(zip(wanted.files, await all_of(*looks), strict=True))
    video = seen["video"].found
    if "speech" in seen:
        check_output(context.limits, cfg.sync_mode, video, seen["speech"].found)
    elif video.is_image:
        raise ApiError(
            422, "unusable_file", "video: is a picture, not a film; send it to /v1/edit:picture as `image`."
        )
    else:
        check_output(context.limits, SyncMode.SILENCE, video, replace(video, duration_s=0.0))


def kind_of(name: str, upload: Upload, usual: Kind) -> Kind:
    """What an input is looked at as; usual: what most of them are."""
    if name.startswith(REFERENCE) and upload.file_name.lower().endswith(_FITTED):
        return "tensors"
    return _KINDS.get(name, usual)


def told_name(name: str, upload: Upload) -> str:
    """How a sentence calls a file: references are many, so by the caller's name."""
    return f"reference {upload.file_name!r}" if name.startswith(REFERENCE) else name


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
