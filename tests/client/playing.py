"""A real HTTP server on loopback that gives the answers of a script, good and bad ones."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Heard:
    """One request as the server received it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Script:
    """Answers by (method, path): functions of the handler, the last one for ever."""

    answers: dict = field(default_factory=lambda: defaultdict(list))
    heard: list[Heard] = field(default_factory=list)
    url: str = ""

    def on(self, method, path, *answers):
        self.answers[method, path].extend(answers)

    def of(self, method, path):
        return [request for request in self.heard if (request.method, request.path) == (method, path)]


def reply(value, status=200, **headers):
    """JSON, or bytes as they are."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()

    def answer(handler):
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(data)))
        for name, text in headers.items():
            handler.send_header(name.replace("_", "-"), text)
        handler.end_headers()
        handler.wfile.write(data)

    return answer


def refuse(status, message, **headers):
    return reply({"error": {"code": "test", "message": message}}, status, **headers)


def reset(handler):
    """The connection breaks without an answer."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def silence(handler):
    """No answer for longer than any test waits."""
    handler.server.over.wait(60)


def serve_file(data, cut_at=None):
    """Ranges of `data`; the connection breaks before byte `cut_at`."""

    def answer(handler):
        start = int(handler.headers.get("Range", "bytes=0-")[6:-1])
        if start >= len(data):
            return refuse(416, "nothing is left")(handler)
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", str(len(data) - start))
        handler.end_headers()
        handler.wfile.write(data[start:cut_at])
        handler.wfile.flush()
        return reset(handler) if cut_at is not None else None

    return answer


def events(*views, ends=True):
    """Server-sent events; the connection closes after the last."""

    def answer(handler):
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.end_headers()
        for view in views:
            handler.wfile.write(f": still here\n\nevent: progress\ndata: {json.dumps(view)}\n\n".encode())
        if ends:
            handler.wfile.write(b"event: end\ndata: {}\n\n")

    return answer


@contextmanager
def playing():
    """A server that follows the script it gives out; unknown requests are 404."""
    script = Script()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self):
            length = int(self.headers.get("Content-Length", 0))
            answers = script.answers.get((self.command, self.path), [refuse(404, "no such thing")])
            early = getattr(answers[0], "early", False)
            body = b"" if early else self.rfile.read(length)
            script.heard.append(Heard(self.command, self.path, dict(self.headers), body))
            (answers.pop(0) if len(answers) > 1 else answers[0])(self)

        do_GET = do_POST = do_DELETE = _answer

        def log_message(self, *_):
            pass

        def finish(self):
            if not self.wfile.closed and self.connection.fileno() >= 0:
                super().finish()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.over = threading.Event()
    script.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield script
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
        thread.join()
