"""Going out to an address that a caller has named, without being sent to where callers must not reach.

Only https, only hosts that the operator has listed, and only if every address of the host is a public one.
The connection goes to an address that was checked, so that a second look-up cannot lead elsewhere, and
redirects are not followed.
"""

from __future__ import annotations

import http.client
import ipaddress
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from segtalker.errors import SegTalkerError

_HOST = re.compile(r"[a-z0-9]([a-z0-9-]{0,62})(\.[a-z0-9]([a-z0-9-]{0,62}))*")
_PLAIN_URL = re.compile(r"[!-\[\]-~]{1,2000}")  # printable ASCII without space and backslash
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class AddressRefused(SegTalkerError):
    """An address that may not be reached from here; trying again does not help."""


class AddressUnreachable(SegTalkerError):
    """An address that may be reached, but does not answer as it should."""


@dataclass(frozen=True)
class Target:
    """An https address in its parts."""

    host: str
    port: int
    path: str
    """With the query."""


def _resolve(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _dial(address: str, port: int, timeout_s: float) -> socket.socket:
    return socket.create_connection((address, port), timeout=timeout_s)


@dataclass(frozen=True)
class Network:
    """The way out; a test puts a server of its own in its place."""

    resolve: Callable[[str, int], list[str]] = _resolve
    """Host and port to IP addresses."""
    dial: Callable[[str, int, float], socket.socket] = _dial
    """IP address, port and seconds to a connected socket."""
    tls: Callable[[], ssl.SSLContext] = ssl.create_default_context


INTERNET = Network()


def check_https_url(url: str, allowed: Sequence[str]) -> Target:
    """The parts of an https URL whose host is in `allowed`; `AddressRefused` otherwise. Asks no network.

    allowed: names of hosts, as `media.example.org`, or with a port, as `media.example.org:8443`.
    """
    shown = repr(url[:100])
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port or 443
    except ValueError as error:
        raise AddressRefused(
            f"{shown} is no web address ({error}). Send one as https://HOST/PATH."
        ) from error
    if not _PLAIN_URL.fullmatch(url) or parts.scheme != "https" or "@" in parts.netloc:
        raise AddressRefused(f"{shown} is refused: only plain https://HOST/PATH without a password is taken.")
    _check_listed(host, port, allowed)
    return Target(host, port, (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))


def check_public_host(
    host: str, allowed: Sequence[str], port: int = 443, network: Network = INTERNET
) -> list[str]:
    """The IP addresses of a listed host; `AddressRefused` if any of them is not a public one.

    `AddressUnreachable` if the name is not known.
    """
    _check_listed(host.lower(), port, allowed)
    try:
        addresses = network.resolve(host, port)
    except (OSError, UnicodeError) as error:
        raise AddressUnreachable(f"The host {host} is not known ({error}). Check its name.") from error
    private = [address for address in addresses if not is_public(address)]
    if private or not addresses:
        raise AddressRefused(f"The host {host} is refused: its address is not one of the public internet.")
    return addresses


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet; IPv4 in IPv6 is judged as what it leads to."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if ip not in _GLOBAL_UNICAST or ip.scope_id is not None:
            return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


class Answer:
    """What a server has answered; its body is read in pieces."""

    def __init__(self, response: http.client.HTTPResponse, where: str) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = dict(response.headers.items())
        self._response, self._where = response, where

    def read(self, size: int) -> bytes:
        """At most `size` bytes of the body, b"" at its end; `AddressUnreachable` if it breaks off."""
        with _explained(self._where):
            data = self._response.read(size)
            # http.client takes a closed connection for the end even where a length was told.
            if not data and size and self._response.length:
                raise http.client.IncompleteRead(b"", self._response.length)
            return data


@contextmanager
def open_https(
    url: str,
    allowed: Sequence[str],
    *,
    timeout_s: float,
    method: str = "GET",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    network: Network = INTERNET,
) -> Iterator[Answer]:
    """Send one request and give its answer; a redirect is an answer like any other.

    timeout_s: of the whole exchange, until the block ends, however slowly the server drips. Raises
    `AddressRefused` and `AddressUnreachable`.
    """
    target = check_https_url(url, allowed)
    addresses = check_public_host(target.host, allowed, target.port, network)
    where = f"https://{target.host}{'' if target.port == 443 else f':{target.port}'}"
    connection = _Pinned(target, addresses, timeout_s, network)
    watch = threading.Timer(timeout_s, connection.cut)
    watch.daemon = True
    watch.start()
    try:
        with _explained(where):
            connection.request(method, target.path, body, {"User-Agent": "segtalker", **(headers or {})})
            response = connection.getresponse()
        yield Answer(response, where)
        if connection.was_cut:
            raise AddressUnreachable(f"{where} took longer than {timeout_s:g} s. Try again later.")
    finally:
        watch.cancel()
        connection.close()


class _Pinned(http.client.HTTPSConnection):
    """Connects to addresses that were checked; the certificate must still be that of the host's name."""

    def __init__(self, target: Target, addresses: list[str], timeout_s: float, network: Network) -> None:
        super().__init__(target.host, target.port, timeout=timeout_s)
        self._addresses, self._timeout_s, self._network = addresses, timeout_s, network
        self._wire: ssl.SSLSocket | None = None  # http.client may let go of its `sock` early
        self.was_cut = False

    def connect(self) -> None:
        """Try one address after the other, then shake hands."""
        context = self._network.tls()
        plain = self._dial_any()
        self._wire = self.sock = context.wrap_socket(
            plain, server_hostname=self.host, do_handshake_on_connect=False
        )
        if self.was_cut:
            raise TimeoutError("no connection in time")
        self._wire.do_handshake()

    def cut(self) -> None:
        """End the exchange from another thread: whoever reads gets an error or an end."""
        self.was_cut = True
        if self._wire is not None:
            with suppress(OSError):
                socket.socket.shutdown(self._wire, socket.SHUT_RDWR)

    def _dial_any(self) -> socket.socket:
        failure: OSError = TimeoutError("no connection in time")
        for address in self._addresses:
            if self.was_cut:
                break
            try:
                return self._network.dial(address, self.port, self._timeout_s)
            except OSError as error:
                failure = error
        raise failure


def _check_listed(host: str, port: int, allowed: Sequence[str]) -> None:
    name = host if port == 443 else f"{host}:{port}"
    if not _HOST.fullmatch(host) or name not in {entry.lower() for entry in allowed}:
        raise AddressRefused(
            f"The host {name[:100]!r} is not one that this service reaches. Ask its operator to list it."
        )


@contextmanager
def _explained(where: str) -> Iterator[None]:
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        cause = str(error) or type(error).__name__
        raise AddressUnreachable(f"{where} does not answer ({cause}). Try again later.") from error
