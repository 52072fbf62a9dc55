"""A download over real HTTP comes to its end, or says why not, and never mixes two files."""

from __future__ import annotations

import hashlib
import json
import os
import re
from email.message import Message
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from segtalker.errors import StorageError, WeightsError
from segtalker.progress import Progress
from segtalker.weights import transfer
from segtalker.weights.transfer import download
from tests.weights.web import Trouble, Web

DATA = os.urandom(3_000_000)
HALF = 1_500_000


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "downloads" / "net.pt"


@pytest.fixture
def url(web: Web) -> str:
    web.files["/net.pt"] = DATA
    return f"{web.url}/net.pt"


def _cut_once(count: int, path: str) -> Trouble | None:
    return Trouble(cut_after=HALF) if count == 0 else None


def test_a_file_comes_whole_and_leaves_no_parts(web: Web, url: str, target: Path):
    events: list[Progress] = []
    download(url, target, len(DATA), events.append)
    assert target.read_bytes() == DATA and os.listdir(target.parent) == ["net.pt"]
    assert web.asked[0].agent == "segtalker" and web.asked[0].range == ""
    assert (events[0].done, events[-1].done, events[-1].total) == (0, len(DATA), len(DATA))
    assert events[-1].stage == "fetching net.pt" and events[-1].unit == "B"
    download(url, target)
    assert len(web.asked) == 1


def test_a_cut_connection_goes_on_where_it_ended(web: Web, url: str, target: Path):
    web.trouble = _cut_once
    download(url, target)
    assert target.read_bytes() == DATA
    assert [asked.range for asked in web.asked] == ["", f"bytes={HALF}-"]
    assert web.asked[1].if_range.startswith('"')


def test_an_interrupted_process_goes_on_in_the_next_one(web: Web, url: str, target: Path):
    web.trouble = lambda count, path: Trouble(cut_after=HALF) if count == 0 else Trouble(status=503)
    with pytest.raises(WeightsError, match=f"503.*{HALF} bytes are kept: run the same command again"):
        download(url, target)
    assert not target.exists()
    web.trouble = lambda count, path: None
    before = len(web.asked)
    download(url, target)
    assert target.read_bytes() == DATA
    assert [asked.range for asked in web.asked[before:]] == [f"bytes={HALF}-"]


def test_a_part_that_is_whole_needs_no_more_than_its_name(web: Web, url: str, target: Path):
    target.parent.mkdir()
    target.with_name("net.pt.part").write_bytes(DATA)
    note = {"address": hashlib.sha256(url.encode()).hexdigest(), "validator": '"x"', "total": len(DATA)}
    target.with_name("net.pt.part.json").write_text(json.dumps(note))
    download(url, target)
    assert target.read_bytes() == DATA and not web.asked


def test_a_part_longer_than_the_file_is_dropped(web: Web, url: str, target: Path):
    web.trouble = lambda count, path: Trouble(cut_after=HALF) if count == 0 else Trouble(status=503)
    with pytest.raises(WeightsError):
        download(url, target)
    target.with_name("net.pt.part").write_bytes(DATA + b"of another process")
    web.trouble, before = lambda count, path: None, len(web.asked)
    download(url, target)
    assert target.read_bytes() == DATA and [asked.range for asked in web.asked[before:]] == [""]


def test_a_server_without_ranges_begins_anew(web: Web, url: str, target: Path):
    web.knows_ranges, web.trouble = False, _cut_once
    download(url, target)
    assert target.read_bytes() == DATA and len(web.asked) == 2


def test_a_server_without_etags_is_asked_for_the_whole_again(web: Web, url: str, target: Path):
    web.says_validator, web.trouble = False, _cut_once
    download(url, target)
    assert target.read_bytes() == DATA


@pytest.mark.parametrize("heeds_if_range", [True, False])
@pytest.mark.parametrize("new", [DATA[::-1], DATA + b"more", DATA[:HALF]])
def test_a_file_that_changes_between_two_ranges_is_never_mixed(
    new: bytes,
    heeds_if_range: bool,
    web: Web,
    url: str,
    target: Path,
):
    web.heeds_if_range = heeds_if_range

    def change(count: int, path: str) -> Trouble | None:
        if count == 0:
            return Trouble(cut_after=HALF)
        web.files["/net.pt"] = new
        return None

    web.trouble = change
    download(url, target)
    assert target.read_bytes() == new


def test_a_server_that_says_no_length_is_believed(web: Web, url: str, target: Path):
    web.says_length = False
    download(url, target)
    assert target.read_bytes() == DATA


def test_a_file_of_another_length_than_published_is_refused_at_once(web: Web, url: str, target: Path):
    with pytest.raises(WeightsError, match=f"has {len(DATA)} bytes, expected 17: not the published file"):
        download(url, target, 17)
    assert len(web.asked) == 1 and not target.exists()


def test_the_words_of_a_server_cannot_write_to_the_terminal(web: Web, url: str, target: Path, monkeypatch):
    monkeypatch.setitem(BaseHTTPRequestHandler.responses, 404, ("gone \x1b[2J", ""))
    web.trouble = lambda count, path: Trouble(status=404)
    with pytest.raises(WeightsError, match="answers 404 .gone ") as caught:
        download(url, target)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("status", [404, 403])
def test_what_is_not_there_is_asked_for_once(status: int, web: Web, url: str, target: Path):
    web.trouble = lambda count, path: Trouble(status=status)
    with pytest.raises(WeightsError, match=f"the server answers {status}.*--from FOLDER"):
        download(url, target)
    assert len(web.asked) == 1 and not target.exists()


def test_a_tired_server_is_asked_again_but_not_for_ever(web: Web, url: str, target: Path):
    web.trouble = lambda count, path: Trouble(status=500) if count < transfer.TRIES - 1 else None
    download(url, target)
    assert target.read_bytes() == DATA
    target.unlink()
    web.trouble = lambda count, path: Trouble(status=500)
    before = len(web.asked)
    with pytest.raises(WeightsError, match="500"):
        download(url, target)
    assert len(web.asked) - before == transfer.TRIES


def test_a_server_that_always_stops_at_the_same_byte_is_given_up(web: Web, url: str, target: Path):
    web.knows_ranges, web.trouble = False, lambda count, path: Trouble(cut_after=HALF)
    with pytest.raises(WeightsError, match=f"the connection ended after {HALF} of {len(DATA)} bytes"):
        download(url, target)
    assert len(web.asked) == transfer.TRIES


def test_a_silent_server_is_left(web: Web, url: str, target: Path, monkeypatch):
    monkeypatch.setattr(transfer, "TIMEOUT_S", 0.3)
    web.trouble = lambda count, path: Trouble(stall_s=1.0) if count == 0 else None
    download(url, target)
    assert target.read_bytes() == DATA and len(web.asked) > 1


def test_nobody_there_is_one_sentence(web: Web, url: str, target: Path):
    web.close()
    with pytest.raises(WeightsError, match="refused.*tried 5 times"):
        download(url, target)
    with pytest.raises(WeightsError, match="Check the network"):
        download("http://nowhere.invalid/net.pt", target)


def test_a_web_page_is_not_the_file(web: Web, url: str, target: Path):
    web.content_type = "text/html; charset=utf-8"
    with pytest.raises(WeightsError, match="answers with a web page"):
        download(url, target)
    assert not target.exists()


def test_a_redirection_is_followed_with_its_range(web: Web, url: str, target: Path):
    web.files["/elsewhere"] = DATA
    web.trouble = lambda count, path: (
        Trouble(status=302, location="/elsewhere") if path == "/net.pt" else _cut_once(count - 1, path)
    )
    download(url, target)
    assert target.read_bytes() == DATA
    assert (web.asked[-1].path, web.asked[-1].range) == ("/elsewhere", f"bytes={HALF}-")


LEADS_NOWHERE = {
    "ftp://example.org/net.pt?s3cret": "leads to ftp://example.org/net.pt, which is no address of",
    "file:///etc/passwd?s3cret": "leading in a circle or to no address of https or http",
    "/net.pt?s3cret": "leading in a circle",
    "http://[x/?s3cret": "nobody can be asked there",
    "http://:80/net.pt?s3cret": "it has no host",
    "http://me:s3cret@example.org/net.pt": "http://example.org/net.pt: the address holds a user name",
}


@pytest.mark.parametrize("location", LEADS_NOWHERE)
def test_a_redirection_to_what_is_no_file_on_the_web_is_not_followed(
    location: str, web: Web, url: str, target: Path, monkeypatch
):
    monkeypatch.setattr(transfer.time, "sleep", None)  # calling it would fail
    web.trouble = lambda count, path: Trouble(status=302, location=location)
    with pytest.raises(WeightsError, match=re.escape(LEADS_NOWHERE[location])) as caught:
        download(url, target)
    assert "s3cret" not in str(caught.value) and not target.exists()
    assert {asked.path.partition("?")[0] for asked in web.asked} == {"/net.pt"}


@pytest.mark.parametrize(
    "address",
    [
        "http://[x/net.pt",
        "http:///net.pt",
        "http://:80/net.pt",
        "http://example.org:s3cret/net.pt",
        "http://example.org:99999/net.pt",
        "http://exam\nple.org/net.pt",
        "http://example.org/net\x7f.pt",
        "http://example.org/net two.pt",
        "http://ex\u00e4mple.org/net.pt",
        "http://example..org/net.pt",
        f"http://{'a' * 64}.org/net.pt",
        "http://s3cret@example.org/net.pt",
        "http://me:s3cr/et@example.org/net.pt",
    ],
)
def test_an_address_that_is_none_is_refused_at_once(address: str, target: Path, monkeypatch):
    monkeypatch.setattr(transfer.time, "sleep", None)
    with pytest.raises(WeightsError, match="is no address|the address holds|nobody can be asked") as caught:
        download(f"{address}?s3cret", target)
    told = str(caught.value)
    assert "s3cr" not in told and told.isprintable() and not target.parent.exists()


def test_what_an_address_keeps_secret_is_neither_shown_nor_kept(
    web: Web, url: str, target: Path, monkeypatch
):
    for trouble in (Trouble(status=404), Trouble(status=500), Trouble(cut_after=HALF)):
        web.trouble = lambda count, path, trouble=trouble: trouble
        web.knows_ranges = False
        with pytest.raises(WeightsError, match=f"^{re.escape(url)}: ") as caught:
            download(f"{url}?token=s3cret", target)
        assert "s3cret" not in str(caught.value)
    assert target.with_name("net.pt.part").stat().st_size == HALF
    assert b"s3cret" not in target.with_name("net.pt.part.json").read_bytes()
    assert web.asked[-1].path == "/net.pt?token=s3cret"


def test_a_full_disk_is_seen_before_it_is_full(web: Web, url: str, target: Path, monkeypatch):
    usage = transfer.shutil.disk_usage(target.parents[1])._replace(free=1000)
    monkeypatch.setattr(transfer.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(StorageError, match="SEGTALKER_CACHE to a folder on a larger disk"):
        download(url, target)


def test_an_encrypted_address_never_leads_to_one_without():
    request = transfer.urllib.request.Request("https://example.org/net.pt")
    follow = transfer._StayEncrypted().redirect_request
    with pytest.raises(WeightsError, match="leads to http://example.org/net.pt, which is not encrypted"):
        follow(request, None, 302, "", Message(), "http://example.org/net.pt")
    assert follow(request, None, 302, "", Message(), "https://example.org/b").full_url.endswith("/b")
