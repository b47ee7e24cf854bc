"""A message that a caller left while the ledger took nothing: how it travels on the queue of messages instead."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from contracts.row import Message
from contracts.transfer import CALL_SID, VERSION

KIND = "recorded"
_SID = re.compile(r"RE[0-9a-f]{32}", re.ASCII)
_URL = re.compile(r"https?://\S{1,500}")
_KEY = re.compile(r"[\w.-]{0,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the call's row is still to be told."""

    call_sid: str
    message: Message

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> Recorded | None:
        """The message in a queue message's fields; None: they are not of this kind or not in form."""
        if [fields.get("version"), fields.get("kind")] != [VERSION, KIND]:
            return None
        forms = {"call_sid": CALL_SID, "recording_sid": _SID, "recording_url": _URL, "destination": _KEY}
        if not all(isinstance(text := fields.get(name), str) and form.fullmatch(text) for name, form in forms.items()):
            return None
        seconds, taken_at = fields.get("seconds"), fields.get("taken_at")
        if type(seconds) is not int or not isinstance(taken_at, int | float) or not math.isfinite(taken_at):
            return None
        message = Message(
            recording_sid=fields["recording_sid"],
            recording_url=fields["recording_url"],
            seconds=seconds,
            taken_at=taken_at,
            destination=fields["destination"],
        )
        return cls(fields["call_sid"], message)

    def to_json(self) -> str:
        """The body of the queue message."""
        known = asdict(self.message)
        del known["delivered_at"]
        return json.dumps({"version": VERSION, "kind": KIND, "call_sid": self.call_sid, **known})
