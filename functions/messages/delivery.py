"""Takes one message of one call to where the agent file says messages go, until it is there.

At least once: the row says `delivered_at` only after the other side has taken the message, so whatever dies in between,
it is sent again. What the row says was delivered is not sent again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, assert_never

from botocore.exceptions import BotoCoreError, ClientError

from contracts.destination import Channel, Voicemail
from contracts.directory import Directory
from contracts.ledger import Ledger
from contracts.row import Message, Row
from functions.messages import letter
from functions.messages.post import NotPosted, Post
from functions.secrets import Secret, SecretUnusable


class NotDelivered(RuntimeError):  # noqa: N818 - it names what became of the message
    """The message is still ours; the text says why. `channel` "": it is not known where it goes."""

    def __init__(self, why: str, channel: str = "") -> None:
        super().__init__(why)
        self.channel = channel


@dataclass(frozen=True, slots=True)
class Delivered:
    """The message is where it belongs. `again`: it had been already, and nothing was sent."""

    message: Message
    channel: str
    again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Courier:
    """Delivers by each channel. `directory` gives the one in force: a corrected address holds for waiting messages too.

    `ses` and `sns` make a low-level client when one is needed.
    """

    ledger: Ledger
    directory: Callable[[], Directory]
    post: Post
    secret: Secret | None
    ses: Callable[[], Any]
    sns: Callable[[], Any]
    now: Callable[[], float]

    def deliver(self, call_sid: str) -> Delivered:
        """Deliver the call's message.

        Raises:
            NotDelivered: it was not taken, or the row holds none.
            botocore.exceptions.BotoCoreError, ClientError: the ledger failed.
        """
        row = self.ledger.read(call_sid)
        if row is None or row.message is None:
            raise NotDelivered("the call's row is gone" if row is None else "the call's row holds no message")
        message, directory = row.message, self.directory()
        voicemail = directory.voicemail
        channel = voicemail.channel.value if voicemail else ""
        if message.delivered_at:
            return Delivered(message, channel, again=True)
        if voicemail is None:
            raise NotDelivered("the agent file names no voicemail.deliver")
        try:
            self._send(voicemail, row, message, directory)
        except (BotoCoreError, ClientError, SecretUnusable, NotPosted) as error:
            raise NotDelivered(_why(error), channel) from error
        self.ledger.message_delivered(call_sid, message.recording_sid)
        return Delivered(message, channel)

    def _send(self, voicemail: Voicemail, row: Row, message: Message, directory: Directory) -> None:
        match voicemail.channel:
            case Channel.WEBHOOK:
                self._post(voicemail.address, letter.body(row, message))
            case Channel.TOPIC:
                self.sns().publish(
                    TopicArn=voicemail.address,
                    Subject=letter.subject(message, row, directory),
                    Message=letter.body(row, message).decode("ascii"),
                    MessageAttributes={"destination": {"DataType": "String", "StringValue": message.destination}},
                )
            case Channel.EMAIL:
                self.ses().send_email(
                    FromEmailAddress=voicemail.address,
                    Destination={"ToAddresses": [voicemail.address]},
                    Content={
                        "Simple": {
                            "Subject": {"Data": letter.subject(message, row, directory)},
                            "Body": {"Text": {"Data": letter.text(row, message, directory), "Charset": "UTF-8"}},
                        }
                    },
                )
            case _:
                assert_never(voicemail.channel)

    def _post(self, url: str, body: bytes) -> None:
        key = self.secret.read().get("current") if self.secret else None
        if not isinstance(key, str) or not key:
            raise SecretUnusable("the secret that signs messages has no 'current'")
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "patchthrough",
            letter.SIGNATURE_HEADER: letter.signature(key, self.now(), body),
        }
        status = self.post(url, body, headers)
        if not 200 <= status < 300:
            raise NotPosted(f"the receiver answered {status}")


def _why(error: Exception) -> str:
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code") or "ClientError")
    return str(error) if isinstance(error, (NotPosted, SecretUnusable)) else type(error).__name__
