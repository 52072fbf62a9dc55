"""Who asks: the holder of a token, or, where there are no tokens, somebody on this machine."""

import hashlib
import hmac
import ipaddress
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from fastapi import Request
from fastapi.security.utils import get_authorization_scheme_param

from segtalker.errors import ConfigError
from serve.api.errors import ApiError

LOCAL = "local"
"""Owner of the jobs of callers without a token."""
_LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")


@dataclass(frozen=True)
class Caller:
    """Who asks."""

    name: str
    """Of the token; owner of the jobs."""
    address: str
    """Where the request came from."""


class Doorkeeper:
    """Tells callers apart; knows tokens only by their SHA-256."""

    def __init__(self, tokens_file: str | None, origins: Collection[str] = ()) -> None:
        """Read the file, lines `NAME TOKEN`; origins: of web pages elsewhere that may be used with it."""
        self._origins = frozenset(origins)
        self._digests = None if tokens_file is None else read_tokens(Path(tokens_file).expanduser())

    def identify(self, request: Request) -> Caller:
        """The caller of a request; `ApiError` 401 or 403."""
        address = request.client.host if request.client is not None else ""
        if self._digests is None:
            self._check_local(request, address)
            return Caller(LOCAL, address)
        scheme, token = get_authorization_scheme_param(request.headers.get("authorization"))
        if scheme.lower() != "bearer" or not token:
            raise _unauthorized(
                "Send the header `Authorization: Bearer TOKEN`; the operator gives out tokens."
            )
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        name = None
        for known, known_digest in self._digests.items():  # to the end, whichever fits
            name = known if hmac.compare_digest(digest, known_digest) else name
        if name is None:
            raise _unauthorized("This token is not known here; ask the operator for a new one.")
        return Caller(name, address)

    def _check_local(self, request: Request, address: str) -> None:
        """Without tokens: no other machine, no proxy for one, and no web page of another site."""
        if not _is_loopback(address) or any(header in request.headers for header in _FORWARDED):
            raise ApiError(
                403, "local_only", "Without api.tokens_file only this machine is served; set it up first."
            )
        host = urlsplit(f"//{request.headers.get('host', '')}")
        if host.hostname not in _LOCAL_NAMES:
            raise ApiError(403, "local_only", "Without api.tokens_file use http://localhost or 127.0.0.1.")
        origin = request.headers.get("origin")
        if origin is not None and origin not in self._origins and urlsplit(origin).netloc != host.netloc:
            raise ApiError(
                403, "foreign_page", f"A page of {origin[:80]} may not use this; see api.cors_origins."
            )


def read_tokens(path: Path) -> dict[str, bytes]:
    """Name -> SHA-256 of its token; empty lines and lines that begin with # are left out."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"api.tokens_file: {path} cannot be read ({error}).") from error
    digests: dict[str, bytes] = {}
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 2 or words[0] in digests or len(words[1]) < 16:
            raise ConfigError(
                f"{path}, line {number}: write a new NAME, a space and a TOKEN of 16 or more characters."
            )
        digests[words[0]] = hashlib.sha256(words[1].encode()).digest()
    if not digests:
        raise ConfigError(f"{path}: no token in it. Write lines `NAME TOKEN`, or leave api.tokens_file out.")
    return digests


def _is_loopback(address: str) -> bool:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(ip, "ipv4_mapped", None)
    return (mapped or ip).is_loopback


def _unauthorized(message: str) -> ApiError:
    return ApiError(401, "unauthorized", message, {"WWW-Authenticate": 'Bearer realm="segtalker"'})
