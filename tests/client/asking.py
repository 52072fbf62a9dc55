"""What the tests of the client ask for and are told."""

import email.parser
import email.policy
import email.utils

from tests.client.playing import reply

JOB = "/v1/dubs/j1"
CANCEL = f"{JOB}?keep_ended=true"
ACCEPTED = reply({"id": "j1", "state": "queued", "links": {}}, 202)
DONE = {"id": "j1", "state": "done", "progress": [], "error": None, "files": {"video": 3, "report": 2}}


def running(done, stage="rendering"):
    earlier = [] if stage == "analysing" else [{"stage": "analysing", "done": 9, "total": 9, "unit": "frame"}]
    latest = {"stage": stage, "done": done, "total": 50, "unit": "frame"}
    return {"id": "j1", "state": "running", "progress": [*earlier, latest]}


def parts_of(request):
    """Name -> (file name, content) of a multipart request, read by the standard library."""
    head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + request.body)
    return {
        part.get_param("name", header="content-disposition"): (
            part.get_filename(),
            part.get_payload(decode=True),
        )
        for part in message.iter_parts()
    }
