"""Takes one message of one call to where the agent file says messages go, until it is there.

At least once: the row says `delivered_at` only after the other side has taken the message, so whatever dies in between,
it is sent again. What the row says was delivered is not sent again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, assert_never

from botocore.exceptions import BotoCoreError, ClientError

from contracts.destination import Channel, Delivery
from contracts.directory import Directory
from contracts.ledger import Ledger
from contracts.row import Message
from contracts.screen_pop import Link
from functions.messages import letter
from functions.messages.letter import Letter
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
        channel = voicemail.deliver.channel.value if voicemail else ""
        if message.delivered_at:
            return Delivered(message, channel, again=True)
        if voicemail is None:
            raise NotDelivered("the agent file names no voicemail.deliver")
        self._send(voicemail.deliver, letter.of_message(row, message, directory))
        self.ledger.message_delivered(call_sid, message.recording_sid)
        return Delivered(message, channel)

    def pop(self, link: Link) -> str:
        """Send a link to where screen-pops go. Returns the channel; "": the agent file names none any more.

        Raises:
            NotDelivered: it was not taken, or there is no such call.
            botocore.exceptions.BotoCoreError, ClientError: the ledger failed.
        """
        row, directory = self.ledger.read(link.call_sid), self.directory()
        if directory.screen_pop is None:
            return ""
        deliver = directory.screen_pop.deliver
        if row is None:
            raise NotDelivered("the call's row is gone", deliver.channel.value)
        self._send(deliver, letter.of_link(row, link, directory))
        return deliver.channel.value

    def _send(self, deliver: Delivery, what: Letter) -> None:
        try:
            self._hand_over(deliver, what)
        except (BotoCoreError, ClientError, SecretUnusable, NotPosted) as error:
            raise NotDelivered(_why(error), deliver.channel.value) from error

    def _hand_over(self, deliver: Delivery, what: Letter) -> None:
        match deliver.channel:
            case Channel.WEBHOOK:
                self._post(deliver.address, what.body)
            case Channel.TOPIC:
                self.sns().publish(
                    TopicArn=deliver.address,
                    Subject=what.subject,
                    Message=what.body.decode("ascii"),
                    MessageAttributes={"destination": {"DataType": "String", "StringValue": what.destination}},
                )
            case Channel.EMAIL:
                self.ses().send_email(
                    FromEmailAddress=deliver.sender or deliver.address,
                    Destination={"ToAddresses": [deliver.address]},
                    Content={
                        "Simple": {
                            "Subject": {"Data": what.subject},
                            "Body": {"Text": {"Data": what.text, "Charset": "UTF-8"}},
                        }
                    },
                )
            case _:
                assert_never(deliver.channel)

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
