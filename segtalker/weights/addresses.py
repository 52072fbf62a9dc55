"""Addresses of files: which may be asked, and what of them may be recorded and shown."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from segtalker.errors import WeightsError
from segtalker.storage import is_local, join


def is_http(place: str) -> bool:
    """Whether a place is an address of HTTP, encrypted or not."""
    return place.lower().startswith(("http://", "https://"))


def shown(place: str) -> str:
    """A place for records and messages: an address without user, password and query, which may be secrets."""
    if is_local(place):
        return place
    scheme = place.partition("://")[0]
    try:
        parts = urlsplit(place)
        _ = parts.port
    except ValueError:  # of an address that cannot be taken apart any piece may be a password
        return f"{scheme}://..."
    host = parts.netloc.rpartition("@")[2]
    return f"{scheme}://{host}{parts.path}"


def with_name(folder: str, filename: str) -> str:
    """The place of a file in a folder; the query of an address stays behind its path."""
    if not is_http(folder):
        return join(folder, filename)
    path = re.split("[?#]", folder, maxsplit=1)[0]
    return join(path, filename) + folder[len(path) :]


def require_address(place: str) -> None:
    """Refuse an address that no try will reach, or that carries a password, by `WeightsError`."""
    if is_local(place):
        return
    try:
        parts = urlsplit(place)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise _refusal(place, "its host or port is malformed") from error
    user, found, _ = parts.netloc.rpartition("@")
    if found and (is_http(place) or ":" in user):  # other stores write what is no user before the @
        raise WeightsError(
            f"{shown(place)}: the address holds a user name or password, which would be kept in records and "
            "logs. Leave it out, or get the file in another way and use --from FOLDER."
        )
    if is_http(place):
        if not host:
            raise _refusal(place, "it has no host")
        if re.search(r"[^!-~]", place):
            raise _refusal(place, "write spaces and letters beyond ASCII as %XX, in the host as xn--...")


def _refusal(place: str, why: str) -> WeightsError:
    return WeightsError(f"{shown(place)!r} is no address: {why}. Correct it and run the same command again.")
