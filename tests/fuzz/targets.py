"""Each reader of bytes that others write. A target raises nothing, whatever it is given: refusals are expected here."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from containers.media_relay import media_streams, realtime
from contracts import agent_file, directory, transfer
from functions.voice_webhook.request import Gate, RequestRefused

CORPORA = Path(__file__).with_name("corpora")
ACCOUNT_SID = "AC" + "b2" * 16
_GATE = Gate("https://voice.example.com", ACCOUNT_SID, lambda: ["token"], verify=lambda *_, **__: True)


def twilio_frame(data: bytes) -> None:
    """A text frame of the media stream."""
    with suppress(media_streams.ProtocolError):
        media_streams.decode(data)


def model_frame(data: bytes) -> None:
    """A text frame of the model."""
    with suppress(realtime.ProtocolError):
        realtime.decode(data)


def webhook_body(data: bytes) -> None:
    """The form of a request whose signature is right; the first byte says how API Gateway hands it on."""
    plain = data[:1] < b"\x80"
    body = data[1:].decode("utf-8", "surrogateescape") if plain else base64.b64encode(data[1:]).decode()
    event = {"rawPath": "/voice/incoming", "rawQueryString": "visit=1", "body": body, "isBase64Encoded": not plain}
    with suppress(RequestRefused):
        _GATE.admit(event, "To")


def queue_message(data: bytes) -> None:
    """The body of a transfer message."""
    with suppress(transfer.MalformedRequest):
        transfer.read(data.decode("utf-8", "surrogateescape"))


def agent_yaml(data: bytes) -> None:
    """The agent file, as the relay reads it whole and the functions its directory."""
    with tempfile.NamedTemporaryFile(suffix=".yaml") as file:
        file.write(data)
        file.flush()
        with suppress(agent_file.AgentFileError):
            agent_file.load(Path(file.name))
        with suppress(directory.DirectoryRefused):
            directory.load(Path(file.name))


TARGETS: dict[str, Callable[[bytes], None]] = {
    one.__name__: one for one in (twilio_frame, model_frame, webhook_body, queue_message, agent_yaml)
}


def corpus(name: str) -> list[bytes]:
    """The kept inputs of a target: one a line, in base64."""
    return [base64.b64decode(line) for line in (CORPORA / f"{name}.txt").read_text(encoding="ascii").splitlines()]


def keep(name: str, inputs: list[bytes]) -> None:
    """Keep these inputs of a target, and no others."""
    lines = sorted({base64.b64encode(one).decode() for one in inputs}, key=lambda line: (len(line), line))
    (CORPORA / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
