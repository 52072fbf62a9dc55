"""What every answer has: one shape of errors, headers that keep browsers out of trouble, no open CORS."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading

import pytest

from serve.config import ApiConfig
from tests.serve.live import until


def ask(api, method, path, **more):
    return asyncio.run(api.client.request(method, path, **more))


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/v1/dubs/j" + "a" * 26, 404, "not_found"),
        ("GET", "/v1/dubs/..%2f..%2fetc", 404, "not_found"),
        ("GET", "/v1/dubs/x", 422, "invalid_request"),
        ("PUT", "/v1/dubs", 405, "method_not_allowed"),
        ("GET", "/v1/parse", 405, "method_not_allowed"),
        ("POST", "/v1/dubs", 415, "unsupported_media_type"),
        ("GET", "/page/../../config.py", 404, "not_found"),
        ("GET", "/page/%2e%2e/config.py", 404, "not_found"),
        ("GET", "/page/__init__.py", 404, "not_found"),
        ("GET", "/docs", 404, "not_found"),
    ],
)
def test_every_error_has_the_same_shape(api, method, path, status, code):
    answer = ask(api, method, path)
    assert answer.status_code == status
    assert set(answer.json()) == {"error"} and set(answer.json()["error"]) == {"code", "message"}
    assert answer.json()["error"]["code"] == code


@pytest.mark.parametrize(
    ("path", "methods"),
    [("/v1/dubs", "GET, POST"), ("/v1/dubs/j" + "a" * 26, "DELETE, GET"), ("/openapi.json", "GET, HEAD")],
)
def test_a_method_that_is_not_there_is_told_which_are(api, path, methods):
    assert ask(api, "PUT", path).headers["Allow"] == methods


def test_a_fault_of_the_service_tells_a_number_and_nothing_else(api, monkeypatch, caplog):
    def fail():
        raise RuntimeError("password is hush")

    monkeypatch.setattr(api.service, "describe", fail)
    answer = ask(api, "GET", "/v1/models")
    assert answer.status_code == 500 and answer.json()["error"]["code"] == "internal_error"
    assert "hush" not in answer.text and answer.headers["X-Content-Type-Options"] == "nosniff"
    number = answer.json()["error"]["message"].split("report ")[1].split()[0]
    assert number in caplog.text and "hush" in caplog.text


@pytest.mark.parametrize("path", ["/", "/v1/dubs", "/nothing", "/healthz", "/openapi.json"])
def test_every_answer_has_security_headers(api, path):
    headers = ask(api, "GET", path).headers
    assert headers["X-Content-Type-Options"] == "nosniff" and headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert "Access-Control-Allow-Origin" not in headers


def test_the_page_may_run_its_own_scripts_only(api):
    answer = ask(api, "GET", "/")
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "script-src 'self';" in answer.headers["Content-Security-Policy"]
    assert "script-src" not in ask(api, "GET", "/v1/dubs").headers["Content-Security-Policy"]
    again = ask(api, "GET", "/", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304 and again.content == b""
    assert ask(api, "GET", "/page/page.css").headers["Content-Type"].startswith("text/css")


def test_other_sites_may_not_ask_unless_they_are_listed(make_api, tmp_path):
    asked = {"Origin": "https://studio.example", "Access-Control-Request-Method": "POST"}
    closed = make_api()
    assert "Access-Control-Allow-Origin" not in ask(closed, "OPTIONS", "/v1/dubs", headers=asked).headers
    api = make_api(api=ApiConfig(scratch=str(tmp_path / "scratch"), cors_origins=("https://studio.example",)))
    allowed = ask(api, "OPTIONS", "/v1/dubs", headers=asked)
    assert allowed.headers["Access-Control-Allow-Origin"] == "https://studio.example"
    assert "Access-Control-Allow-Credentials" not in allowed.headers
    other = ask(api, "OPTIONS", "/v1/dubs", headers={**asked, "Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in other.headers
    listed = ask(api, "GET", "/v1/dubs", headers={"Origin": "https://studio.example"})
    assert listed.status_code == 200
    assert listed.headers["Access-Control-Allow-Origin"] == "https://studio.example"


def test_health_and_readiness_tell_which_part_is_not_ready(api):
    assert ask(api, "GET", "/healthz").json() == {"status": "alive"}
    assert ask(api, "GET", "/readyz").json() == {"ready": True, "parts": {"generator": "ready"}}
    api.service.parts = {"generator": "ready", "tsg": "loading weights"}
    answer = ask(api, "GET", "/readyz")
    assert answer.status_code == 503 and answer.json()["parts"]["tsg"] == "loading weights"


def test_models_are_what_the_service_says(api):
    assert ask(api, "GET", "/v1/models").json() == {"networks": {"tsg": {"weights": "mini"}}}


def test_the_document_describes_every_answer_with_an_example(api):
    document = ask(api, "GET", "/openapi.json").json()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], (method, path)
            for status, answer in operation["responses"].items():
                if int(status) >= 400 and path != "/readyz":
                    example = answer["content"]["application/json"]["example"]
                    assert set(example["error"]) == {"code", "message"}, (method, path, status)
            if path.startswith("/v1"):
                assert {"401", "403", "422", "429", "500", "503"} <= set(operation["responses"])
                assert operation["security"] == [{"HTTPBearer": []}]
    text = json.dumps(document)
    for reference in {part.split('"')[0] for part in text.split('"$ref": "#/components/schemas/')[1:]}:
        assert reference in document["components"]["schemas"], reference
    schemas = document["components"]["schemas"]
    for name in ("DubRequest", "DubOptions", "JobBody", "Accepted", "ParseBody", "CodesBody"):
        assert schemas[name]["examples"], name


def test_the_probe_starts_without_a_web_framework_or_torch():
    code = "import sys, serve.api.probe; print(sorted({'fastapi', 'torch', 'ray', 'cv2'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_importing_the_api_starts_nothing_and_needs_no_ray(tmp_path):
    code = "import sys, serve.api.app, threading; print('ray' in sys.modules, threading.active_count())"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["False", "1"]


def test_the_end_of_the_application_lets_go_of_threads_and_a_new_beginning_serves_again(api, parts):
    others = set(threading.enumerate())

    def probes():
        return [thread for thread in set(threading.enumerate()) - others if thread.name.startswith("probe")]

    async def go():
        for _ in range(2):
            async with api.app.router.lifespan_context(api.app):
                assert (await api.client.post("/v1/dubs", files=parts())).status_code == 202
                assert probes()
            until(lambda: not probes())

    asyncio.run(go())
