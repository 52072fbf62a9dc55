"""Open a media file, or say in one sentence why not. The only place where input containers are opened."""

from __future__ import annotations

import errno
from functools import cache
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.stream import VideoStream

from segtalker.errors import MediaError

_LISTS = frozenset({"concat", "hls", "dash", "imf", "sdp", "rtsp", "sap", "webm_dash_manifest", "vobsub"})
"""Formats whose files hold no media but say where others lie."""


class MediaWarning(UserWarning):
    """A file was read with losses; the message says which."""


def open_media(path: Path | str) -> InputContainer:
    """Open a local file for demuxing.

    Only the file itself is ever read: playlists and other containers that point elsewhere are refused, and a
    `%d` or a `:` in the name has no meaning. Raises `MediaError` with the reason.
    """
    path = Path(path)
    try:
        if not path.exists():
            raise MediaError(f"{path}: no such file. Check the path.")
        if path.is_dir():
            raise MediaError(f"{path}: is a folder. Name one video, picture or sound file.")
        if not path.is_file():
            raise MediaError(f"{path}: is a pipe or a device. Save it as a file first.")
        if path.stat().st_size == 0:
            raise MediaError(f"{path}: the file is empty (0 bytes). Copy or export it again.")
        options = {"protocol_whitelist": "file", "format_whitelist": _formats(), "pattern_type": "none"}
        return av.open(f"file:{path.absolute()}", mode="r", options=options, metadata_errors="replace")
    except PermissionError as error:
        raise MediaError(f"{path}: no permission to read it. Change its access rights.") from error
    except (av.FFmpegError, OSError, ValueError) as error:
        if getattr(error, "errno", None) == errno.EINVAL:
            raise MediaError(
                f"{path}: a playlist or the like, which only names other files, or damaged at its beginning. "
                "Name the film itself."
            ) from error
        raise MediaError(
            f"{path}: not a media file, or damaged at its beginning ({reason(error)}). "
            "Check that it plays elsewhere and copy or export it again."
        ) from error


@cache
def _formats() -> str:
    """Every format that the library reads but `_LISTS`."""
    known = {name for names in av.formats_available for name in names.split(",")}
    return ",".join(sorted(known - _LISTS))


def video_stream(container: InputContainer, path: Path | str) -> VideoStream:
    """The first picture stream that is not cover art; `MediaError` if there is none."""
    for stream in container.streams.video:
        if stream.codec_context is not None and not stream.disposition & av.stream.Disposition.attached_pic:
            return stream
    pictures = {
        s.index: "a cover" if s.codec_context else "undecodable video" for s in container.streams.video
    }
    kinds = " and ".join(sorted({pictures.get(s.index, s.type) for s in container.streams})) or "nothing"
    raise MediaError(f"{path}: holds {kinds} but no video stream. Name a video or a picture.")


def audio_stream(container: InputContainer, path: Path | str) -> AudioStream:
    """The first sound stream; `MediaError` if there is none."""
    for stream in container.streams.audio:
        if stream.codec_context is not None:
            return stream
    raise MediaError(f"{path}: has no audio stream. Name a file that contains the speech.")


def reason(error: BaseException) -> str:
    """The short cause of an FFmpeg or system error."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
