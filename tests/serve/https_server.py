"""An https server on this machine that stands in for a host of the public internet."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from serve.addresses import Network

HOST = "media.example.org"
PUBLIC = "93.184.216.34"


def say_hello(handler: BaseHTTPRequestHandler) -> None:
    """Answer 200 with `hello`."""
    handler.send_response(200)
    handler.send_header("Content-Length", "5")
    handler.end_headers()
    handler.wfile.write(b"hello")


class HttpsServer:
    """`network` leads to it by the name `HOST`, and by that name alone; `answer` says what it answers."""

    def __init__(self, certificate: Path) -> None:
        self.answer: Callable[[BaseHTTPRequestHandler], None] = say_hello
        self.requests: list[tuple[str, str, bytes]] = []
        """Method, host with path, and body of each."""
        self.headers: list[dict[str, str]] = []
        self.dialled: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        self.network = Network(
            resolve=lambda host, port: [PUBLIC],
            dial=self._dial,
            tls=lambda: ssl.create_default_context(cafile=str(certificate)),
        )

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def _dial(self, address: str, port: int, timeout_s: float) -> socket.socket:
        self.dialled.append(f"{address}:{port}")
        return socket.create_connection(("127.0.0.1", self._server.server_port), timeout=timeout_s)


def _handler(server: HttpsServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            server.requests.append((self.command, self.headers["Host"] + self.path, body))
            server.headers.append(dict(self.headers.items()))
            server.answer(self)

        do_GET = do_POST = _serve

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


def make_certificate(folder: Path, host: str = HOST) -> Path:
    """A key and a certificate that signs itself, in one file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - day).not_valid_after(now + day)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    certificate = builder.sign(key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    path = folder / f"{host}.pem"
    path.write_bytes(private + certificate.public_bytes(pem))
    return path


@pytest.fixture
def https_server(tmp_path: Path) -> Iterator[HttpsServer]:
    """A server of its own for each test."""
    server = HttpsServer(make_certificate(tmp_path))
    yield server
    server.close()
