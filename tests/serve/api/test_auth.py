"""Who is let in, and that a token is compared without telling anything by time."""

from __future__ import annotations

import asyncio
import hmac
import os

import pytest

from segtalker.errors import ConfigError
from serve.api.auth import Doorkeeper, read_tokens
from serve.config import ApiConfig, LimitsConfig

TOKEN = "ann-token-0123456789"


@pytest.fixture
def tokens(tmp_path):
    path = tmp_path / "tokens"
    path.write_text(f"# staff\n\nann {TOKEN}\nbob bob-token-0123456789\n")
    return path


@pytest.fixture
def locked(make_api, tokens, tmp_path):
    return make_api(api=ApiConfig(tokens_file=str(tokens), scratch=str(tmp_path / "scratch")))


def get(api, path="/v1/dubs", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return asyncio.run(api.client.get(path, headers=named))


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", "Basic YTpi", f"Token {TOKEN}", "Bearer wrong", f"Bearer {TOKEN}x"],
)
def test_a_missing_or_wrong_token_is_401_with_the_way_to_do_it(locked, header):
    answer = get(locked, **({"Authorization": header} if header is not None else {}))
    assert answer.status_code == 401 and answer.json()["error"]["code"] == "unauthorized"
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/dubs"), ("POST", "/v1/dubs:stream"), ("GET", "/v1/dubs/jaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        ("DELETE", "/v1/dubs/jaaaaaaaaaaaaaaaaaaaaaaaaaa"), ("POST", "/v1/parse"), ("POST", "/v1/encode"),
        ("POST", "/v1/render"), ("GET", "/v1/models"),
    ],
)  # fmt: skip
def test_every_route_that_does_something_asks_for_the_token(locked, method, path):
    assert asyncio.run(locked.client.request(method, path)).status_code == 401


def test_a_known_token_opens_from_anywhere(make_api, tokens, tmp_path):
    api = make_api(
        client=("203.0.113.9", 1), api=ApiConfig(tokens_file=str(tokens), scratch=str(tmp_path / "scratch"))
    )
    assert get(api, Authorization=f"bearer {TOKEN}").status_code == 200


def test_health_and_page_need_no_token(locked):
    for path in ("/healthz", "/readyz", "/", "/openapi.json"):
        assert get(locked, path).status_code == 200


def test_all_tokens_are_compared_in_constant_time(locked, monkeypatch):
    compared = []
    original = hmac.compare_digest

    def watch(one, other):
        compared.append((len(one), len(other)))
        return original(one, other)

    monkeypatch.setattr("serve.api.auth.hmac.compare_digest", watch)
    get(locked, Authorization=f"Bearer {TOKEN}")
    get(locked, Authorization="Bearer x")
    assert compared == [(32, 32)] * 4


@pytest.mark.parametrize(
    "address", ["203.0.113.9", "10.0.0.1", "::ffff:10.0.0.1", "fe80::1", "not an address"]
)
def test_without_tokens_other_machines_are_turned_away(make_api, address):
    answer = get(make_api(client=(address, 1)))
    assert answer.status_code == 403 and answer.json()["error"]["code"] == "local_only"


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_without_tokens_this_machine_is_served(make_api, address):
    assert get(make_api(client=(address, 1))).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "127.0.0.1"},
        {"Forwarded": "for=127.0.0.1"},
        {"Host": "rebound.example"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
)
def test_without_tokens_proxies_rebound_names_and_foreign_pages_are_turned_away(api, headers):
    assert get(api, **headers).status_code == 403


def test_without_tokens_our_own_page_is_served(api):
    assert get(api, Origin="http://127.0.0.1:8000").status_code == 200


@pytest.mark.parametrize(
    "text", ["", "ann", "ann short", f"ann {TOKEN} more", f"ann {TOKEN}\nann {TOKEN}2", "\xff"]
)
def test_a_file_of_tokens_that_is_wrong_is_refused_and_its_tokens_are_not_told(tmp_path, text):
    path = tmp_path / "tokens"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError) as refusal:
        read_tokens(path)
    assert "tokens" in str(refusal.value) and TOKEN not in str(refusal.value)


def test_a_file_of_tokens_that_is_missing_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="tokens_file"):
        Doorkeeper(str(tmp_path / "none"))


def test_requests_beyond_the_rate_of_a_token_are_told_when_to_come_back(make_api, tokens, tmp_path):
    config = ApiConfig(tokens_file=str(tokens), scratch=str(tmp_path / "scratch"))
    api = make_api(api=config, limits=LimitsConfig(requests_per_minute=2))
    ann, bob = {"Authorization": f"Bearer {TOKEN}"}, {"Authorization": "Bearer bob-token-0123456789"}

    async def go():
        answers = [await api.client.get("/v1/dubs", headers=ann) for _ in range(3)]
        health = [await api.client.get("/healthz", headers=ann) for _ in range(5)]
        return answers, health, await api.client.get("/v1/dubs", headers=bob)

    answers, health, other = asyncio.run(go())
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert 1 <= int(answers[2].headers["Retry-After"]) <= 60
    assert {answer.status_code for answer in health} == {200} and other.status_code == 200


def test_the_audit_names_the_token_and_never_tells_it(make_api, tokens, tmp_path, parts):
    file = tmp_path / "log" / "audit.jsonl"
    api = make_api(
        api=ApiConfig(tokens_file=str(tokens), scratch=str(tmp_path / "scratch"), audit_file=str(file))
    )
    asyncio.run(api.client.post("/v1/dubs", files=parts(), headers={"Authorization": f"Bearer {TOKEN}"}))
    text = file.read_text()
    assert '"token": "ann"' in text and '"client": "127.0.0.1"' in text and TOKEN not in text
    assert file.stat().st_mode & 0o777 == 0o640 & ~current_umask()


def current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
