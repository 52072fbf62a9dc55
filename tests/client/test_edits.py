"""Edits of the client: read as the command line reads them, sent with the files that they name."""

from __future__ import annotations

import email.parser
import email.policy
import json
from pathlib import Path
from typing import Any

import pytest

from segtalker.client import ServiceError
from segtalker.client.edits import read_given
from segtalker.errors import ConfigError, MediaError
from tests.client.asking import ACCEPTED, DONE, JOB
from tests.client.playing import events, reply, serve_file

_HEADER = "content-disposition"
LIPS = {"edit": "recolour", "region": "lip", "colour": "red", "amount": 0.7}


@pytest.fixture
def looks(tmp_path) -> Path:
    """A recipe whose two references have one name."""
    folder = tmp_path / "looks"
    (folder / "old").mkdir(parents=True)
    for name, data in (("ann.png", b"new"), ("old/ann.png", b"old")):
        (folder / name).write_bytes(data)
    (folder / "r.yaml").write_text(
        "edits:\n- {edit: texture, region: hair, reference: ann.png}\n"
        "- {edit: texture, region: skin, reference: old/ann.png}\n"
    )
    return folder


def sent(request: Any) -> list[tuple[str, str | None, bytes]]:
    """(name, file name, content) of every part, in order."""
    head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + request.body)
    return [
        (part.get_param("name", header=_HEADER), part.get_filename(), part.get_payload(decode=True))
        for part in message.iter_parts()
    ]


@pytest.mark.parametrize("given", ["lip=red@0.7", LIPS, ["lip=red@0.7"], [LIPS]])
def test_edits_are_given_as_short_forms_or_values(given):
    assert read_given(given).values == [LIPS]


def test_references_of_a_recipe_are_sent_under_names_of_their_own(script, client, inputs, looks):
    script.on("POST", "/v1/dubs", ACCEPTED)
    client.submit(*inputs, edits=[looks / "r.yaml", "lip=red@0.7"], crf=20)
    parts = sent(script.of("POST", "/v1/dubs")[0])
    options = json.loads(parts[0][2])
    assert options["crf"] == 20 and options["edits"][2] == LIPS
    assert [edit.get("reference") for edit in options["edits"]] == ["ann.png", "2-ann.png", None]
    assert [(name, content) for field, name, content in parts if field == "reference"] == [
        ("ann.png", b"new"), ("2-ann.png", b"old"),
    ]  # fmt: skip


def test_addresses_stay_as_they_are_and_do_not_go_with_files(script, client, inputs, looks):
    script.on("POST", "/v1/edit", ACCEPTED)
    script.on("GET", f"{JOB}/events", events(DONE))
    script.on("GET", JOB, reply(DONE))
    script.on("GET", f"{JOB}/report", reply({"num_frames": 50}))
    script.on("GET", f"{JOB}/video", serve_file(b"film"))
    output = looks / "out.mp4"
    client.edit("s3://studio/talk.mp4", output, "hair=s3://studio/ann.png@0.5")
    body = json.loads(script.of("POST", "/v1/edit")[0].body)
    assert body["options"]["edits"][0]["reference"] == "s3://studio/ann.png"
    assert output.read_bytes() == b"film"
    with pytest.raises(ServiceError, match="or all as files"):
        client.submit("s3://studio/talk.mp4", "s3://studio/talk.wav", edits=looks / "r.yaml")


def test_a_picture_is_sent_and_comes_back_at_once(script, client, looks):
    script.on("POST", "/v1/edit:picture", reply(b"png"))
    assert client.edit_picture(looks / "ann.png", "frown", speaker="index:1") == b"png"
    parts = {name: content for name, _, content in sent(script.heard[0])}
    assert parts["image"] == b"new"
    assert json.loads(parts["options"]) == {"speaker": "index:1", "edits": [{"edit": "frown"}]}


def test_what_cannot_be_read_is_said_before_anything_is_sent(script, client, inputs, tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'red'"):
        client.submit(*inputs, edits="lip=rde")
    with pytest.raises(MediaError, match="gone.jpg: cannot read it"):
        client.submit(*inputs, edits=f"hair={tmp_path}/gone.jpg")
    assert script.heard == []
