"""Only listed hosts of the public internet are reached, each at an address that was checked."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler

import pytest

from serve.addresses import (
    AddressRefused,
    AddressUnreachable,
    Network,
    check_https_url,
    check_public_host,
    is_public,
    open_https,
)
from tests.serve.https_server import HOST, PUBLIC, HttpsServer, make_certificate


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "198.18.0.1",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fec0::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::127.0.0.1",
        "2002:7f00:1::",
        "64:ff9b::a00:1",
        "64:ff9b:1::1",
        "2001:db8::1",
        "no address",
    ],
)
def test_addresses_that_are_not_of_the_internet_are_told(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", [PUBLIC, "2606:4700::1111", "::ffff:93.184.216.34", "64:ff9b::5db8:d822"])
def test_public_addresses_are_told(address):
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://media.example.org/x",
        "ftp://media.example.org/x",
        "file:///etc/passwd",
        "https://user:word@media.example.org/x",
        "https://media.example.org@127.0.0.1/x",
        "https://media.example.org.evil.net/x",
        "https://evil.net/#media.example.org",
        "https://media.example.org:22/x",
        "https://media.example.org:99999/x",
        "https://127.0.0.1/x",
        "https://2130706433/x",
        "https://0x7f.1/x",
        "https://[::1]/x",
        "https://[::ffff:127.0.0.1]/x",
        "https://[not closed/x",
        "https://media.example.org\\@evil.net/x",
        "https://media.example.org/a b",
        "https://media.example.org/\r\nHost: evil.net",
        "https://media.example.org./x",
        "https://mediä.example.org/x",
        "https:///x",
        "",
        "https://media.example.org/" + "x" * 3000,
    ],
)
def test_addresses_that_are_not_plainly_of_a_listed_host_are_refused(url):
    with pytest.raises(AddressRefused) as caught:
        check_https_url(url, [HOST])
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_a_listed_host_is_taken_in_its_parts():
    target = check_https_url("https://Media.Example.org/a/b?c=d#e", [HOST])
    assert (target.host, target.port, target.path) == (HOST, 443, "/a/b?c=d")
    assert check_https_url(f"https://{HOST}:8443", [f"{HOST}:8443"]).port == 8443


@pytest.mark.parametrize("host", ["2130706433", "127.1", "localhost"])
def test_a_listed_name_that_resolves_to_this_machine_is_refused(host):
    with pytest.raises(AddressRefused, match="not one of the public internet"):
        check_public_host(host, [host])


@pytest.mark.parametrize("found", [["10.0.0.7"], [PUBLIC, "127.0.0.1"], ["::ffff:10.0.0.7"], []])
def test_a_host_with_any_private_address_is_refused(found):
    network = Network(resolve=lambda host, port: found)
    with pytest.raises(AddressRefused, match="not one of the public internet"):
        check_public_host(HOST, [HOST], network=network)
    assert check_public_host(HOST, [HOST], network=Network(resolve=lambda host, port: [PUBLIC])) == [PUBLIC]


def test_an_unknown_name_is_unreachable():
    def unknown(host: str, port: int) -> list[str]:
        raise socket.gaierror(-2, "Name or service not known")

    with pytest.raises(AddressUnreachable, match="is not known"):
        check_public_host(HOST, [HOST], network=Network(resolve=unknown))


def fetch(
    server: HttpsServer, url: str = f"https://{HOST}/a?b=c", timeout_s: float = 5.0
) -> tuple[int, bytes]:
    with open_https(url, [HOST], timeout_s=timeout_s, network=server.network) as answer:
        data = b""
        while block := answer.read(1000):
            data += block
        return answer.status, data


def test_a_listed_host_is_reached_at_the_address_that_was_checked(https_server):
    assert fetch(https_server) == (200, b"hello")
    assert https_server.requests == [("GET", f"{HOST}/a?b=c", b"")]
    assert https_server.dialled == [f"{PUBLIC}:443"]


def test_a_redirect_is_an_answer_and_is_not_followed(https_server):
    def redirect(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", "https://169.254.169.254/latest/meta-data")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    https_server.answer = redirect
    assert fetch(https_server) == (302, b"")
    assert len(https_server.requests) == 1 and https_server.dialled == [f"{PUBLIC}:443"]


def test_a_private_address_is_never_dialled(https_server):
    network = replace(https_server.network, resolve=lambda host, port: ["::ffff:192.168.0.1"])
    with pytest.raises(AddressRefused), open_https(f"https://{HOST}/", [HOST], timeout_s=5, network=network):
        pass
    assert https_server.dialled == []


def test_the_certificate_must_be_of_the_host(tmp_path):
    server = HttpsServer(make_certificate(tmp_path, "other.example.org"))
    try:
        with pytest.raises(AddressUnreachable, match="certificate"):
            fetch(server)
        assert server.requests == []
    finally:
        server.close()


def test_a_body_that_breaks_off_is_an_error(https_server):
    def break_off(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        handler.wfile.write(b"hello")
        handler.close_connection = True

    https_server.answer = break_off
    with pytest.raises(AddressUnreachable, match="does not answer"):
        fetch(https_server)


@pytest.mark.parametrize("length", ["Content-Length: 1000", "Connection: close"])
def test_a_server_that_drips_is_cut_off_in_time(https_server, length):
    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(f"HTTP/1.1 200 OK\r\n{length}\r\n\r\n".encode())
        with suppress(OSError):
            for _ in range(100):
                handler.wfile.write(b"x")
                time.sleep(0.05)

    https_server.answer = drip
    begun = time.monotonic()
    with pytest.raises(AddressUnreachable):
        fetch(https_server, timeout_s=0.4)
    assert time.monotonic() - begun < 10


def test_a_handshake_that_never_comes_ends_in_time(https_server):
    near, far = socket.socketpair()
    network = replace(https_server.network, dial=lambda address, port, timeout_s: near)
    begun = time.monotonic()
    with (
        far,
        pytest.raises(AddressUnreachable),
        open_https(f"https://{HOST}/", [HOST], timeout_s=0.3, network=network),
    ):
        pass
    assert time.monotonic() - begun < 10
