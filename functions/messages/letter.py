"""What is told of a message that a caller left, in the form of each channel.

No telephone number appears but the masked one, and the recording is an address: who may hear it, Twilio asks.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass

from contracts.directory import Directory
from contracts.events import timestamp
from contracts.row import Message, Row
from contracts.screen_pop import Link

SIGNATURE_HEADER = "X-Patchthrough-Signature"
SUBJECT_CHARS = 100  # https://docs.aws.amazon.com/sns/latest/api/API_Publish.html


@dataclass(frozen=True, slots=True)
class Letter:
    """What is told, for each channel: `subject` one line, `fields` for programs, `text` for people.

    `destination` is the key of whom it is for.
    """

    destination: str
    subject: str
    fields: dict[str, object]
    text: str

    @property
    def body(self) -> bytes:
        """The fields as they are posted and published; ASCII, so that nobody's encoding changes what was signed."""
        return json.dumps(self.fields).encode("ascii")


def of_message(row: Row, message: Message, directory: Directory) -> Letter:
    """A caller left a message; `taken_at` is ISO 8601 UTC, `seconds` its length, `caller` the masked number."""
    name, told = directory.resolve(message.destination).name, _of_call(row, message.destination)
    told |= {
        "recording_sid": message.recording_sid,
        "recording_url": message.recording_url,
        "seconds": message.seconds,
        "taken_at": timestamp(message.taken_at),
    }
    lines = (
        f"A caller ({told['caller']}) left a message for {name}.",
        "",
        f"Taken: {told['taken_at']}, {message.seconds} seconds",
        f"About: {told['summary'] or 'nothing is known'}",
        f"Listen: {told['recording_url']}",
        f"Call: {told['call_sid']}",
    )
    subject = f"Voicemail for {name} from {told['caller']}, {message.seconds} s"
    return Letter(message.destination, _one_line(subject), told, "\n".join(lines))


def of_link(row: Row, link: Link, directory: Directory) -> Letter:
    """A telephone rings for a caller; `url` shows who it is until `expires_at` (ISO 8601 UTC)."""
    destination = row.transfer.position.destination if row.transfer else directory.default.key
    name, told = directory.resolve(destination).name, _of_call(row, destination)
    told |= {"kind": "screen_pop", "url": link.url, "expires_at": timestamp(link.expires)}
    lines = (
        f"A caller ({told['caller']}) is ringing for {name}.",
        "",
        f"About: {told['summary'] or 'nothing is known'}",
        f"Who, why and what was said: {link.url}",
        f"The link opens until {told['expires_at']}.",
    )
    return Letter(destination, _one_line(f"Call for {name} from {told['caller']}"), told, "\n".join(lines))


def _of_call(row: Row, destination: str) -> dict[str, object]:
    return {
        "call_sid": row.call_sid,
        "destination": destination,
        "caller": row.call.caller_masked,
        "summary": row.transfer.request.summary if row.transfer else "",
    }


def _one_line(line: str) -> str:
    """At most 100 printable ASCII characters, as SNS wants a subject."""
    printable = "".join(c for c in line.encode("ascii", "replace").decode("ascii") if c.isprintable())
    return printable[:SUBJECT_CHARS]


def signature(secret: str, at: float, body: bytes) -> str:
    """`t=<epoch seconds>,v1=<hex HMAC-SHA256 of "t.body">`.

    The receiver computes the same with its copy of the secret, compares in constant time, and refuses an old `t`.
    """
    moment = str(int(at))
    digest = hmac.new(secret.encode(), moment.encode() + b"." + body, hashlib.sha256).hexdigest()
    return f"t={moment},v1={digest}"
