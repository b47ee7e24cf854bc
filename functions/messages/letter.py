"""What is told of a message that a caller left, in the form of each channel.

No telephone number appears but the masked one, and the recording is an address: who may hear it, Twilio asks.
"""

from __future__ import annotations

import hashlib
import hmac
import json

from contracts.directory import Directory
from contracts.events import timestamp
from contracts.row import Message, Row

SIGNATURE_HEADER = "X-Patchthrough-Signature"
SUBJECT_CHARS = 100  # https://docs.aws.amazon.com/sns/latest/api/API_Publish.html


def fields(row: Row, message: Message) -> dict[str, object]:
    """The message as JSON fields; `taken_at` is ISO 8601 UTC, `seconds` its length, `caller` the masked number."""
    return {
        "call_sid": row.call_sid,
        "destination": message.destination,
        "caller": row.call.caller_masked,
        "recording_sid": message.recording_sid,
        "recording_url": message.recording_url,
        "seconds": message.seconds,
        "summary": row.transfer.request.summary if row.transfer else "",
        "taken_at": timestamp(message.taken_at),
    }


def body(row: Row, message: Message) -> bytes:
    """The fields as they are posted and published; ASCII, so that nobody's encoding changes what was signed."""
    return json.dumps(fields(row, message)).encode("ascii")


def subject(message: Message, row: Row, directory: Directory) -> str:
    """One line of at most 100 ASCII characters, as SNS wants it."""
    name = directory.resolve(message.destination).name
    line = f"Voicemail for {name} from {row.call.caller_masked}, {message.seconds} s"
    printable = "".join(c for c in line.encode("ascii", "replace").decode("ascii") if c.isprintable())
    return printable[:SUBJECT_CHARS]


def text(row: Row, message: Message, directory: Directory) -> str:
    """The message as a person reads it."""
    told = fields(row, message)
    return "\n".join(
        (
            f"A caller ({told['caller']}) left a message for {directory.resolve(message.destination).name}.",
            "",
            f"Taken: {told['taken_at']}, {message.seconds} seconds",
            f"About: {told['summary'] or 'nothing is known'}",
            f"Listen: {told['recording_url']}",
            f"Call: {told['call_sid']}",
        )
    )


def signature(secret: str, at: float, body: bytes) -> str:
    """`t=<epoch seconds>,v1=<hex HMAC-SHA256 of "t.body">`.

    The receiver computes the same with its copy of the secret, compares in constant time, and refuses an old `t`.
    """
    moment = str(int(at))
    digest = hmac.new(secret.encode(), moment.encode() + b"." + body, hashlib.sha256).hexdigest()
    return f"t={moment},v1={digest}"
