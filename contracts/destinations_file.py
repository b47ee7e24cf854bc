"""What `agent.yaml` may say about people: whom a caller can reach, when, how, and what happens if nobody answers.

Shapes only, for the editor's help and for errors with a path; what a field means, and every rule that needs more than
one of them, is decided in `contracts/directory.py`, which reads the same file.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema

from contracts.destination import Channel, Mode, Order, TargetKind
from contracts.directory import DIGITS, LINK_MINUTES, QUEUE_SECONDS, RING_SECONDS, TARGETS, WHISPER_CHARS
from contracts.directory_file import FORMS


def _form(kind: TargetKind | Channel) -> StringConstraints:
    return StringConstraints(pattern=f"^(?:{FORMS[kind][0]})$")


def _exactly_one(*names: str) -> dict[str, Any]:
    return {"oneOf": [{"required": [name]} for name in names]}


E164 = Annotated[str, StringConstraints(pattern=r"^\+[1-9][0-9]{6,14}$")]
DestinationKey = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
Days = Annotated[str, StringConstraints(pattern=r"^(mon|tue|wed|thu|fri|sat|sun)(-(mon|tue|wed|thu|fri|sat|sun))?$")]
SPAN = r"^([01][0-9]|2[0-3]):[0-5][0-9]-(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"
SPAN_SCHEMA = {"type": "string", "pattern": SPAN}
Span = Annotated[str, StringConstraints(pattern=SPAN)]
# One span may stand without its list.
Spans = Annotated[
    list[Span],
    BeforeValidator(lambda spans: [spans] if isinstance(spans, str) else spans),
    WithJsonSchema({"anyOf": [SPAN_SCHEMA, {"type": "array", "items": SPAN_SCHEMA}]}),
]
Holiday = Annotated[
    str,
    # YAML reads 2026-12-25 as a date, JSON as a string.
    BeforeValidator(lambda day: day.isoformat() if isinstance(day, date) else day),
    StringConstraints(pattern=r"^([0-9]{4}-)?[0-9]{2}-[0-9]{2}$"),
]


class Strict(BaseModel):
    """A mapping of the file: no unknown fields, no value read as what it is not, no change afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Hours(Strict):
    """When people can be reached."""

    time_zone: Line = Field(description="An IANA name: America/New_York")
    open: dict[Days, Spans] = Field(description="mon or mon-fri to 09:00-17:00, or to a list of such spans")
    holidays: list[Holiday] = Field(default=[], description="2026-12-25, or 12-25 for every year")


class Target(Strict):
    """One thing that rings."""

    model_config = ConfigDict(json_schema_extra=_exactly_one(*TargetKind))

    phone: Annotated[str, _form(TargetKind.PHONE)] | None = Field(default=None, description="A number: +15550100001")
    sip: Annotated[str, _form(TargetKind.SIP)] | None = Field(default=None, description="A SIP URI")
    client: Annotated[str, _form(TargetKind.CLIENT)] | None = Field(
        default=None, description="A Twilio Client identity"
    )
    queue: Annotated[str, _form(TargetKind.QUEUE)] | None = Field(default=None, description="A Twilio queue's name")
    workflow: Annotated[str, _form(TargetKind.WORKFLOW)] | None = Field(default=None, description="TaskRouter or Flex")
    ring_seconds: int | None = Field(
        default=None, ge=RING_SECONDS[0], le=QUEUE_SECONDS[1], description="Instead of the destination's own"
    )


class Disposition(Strict):
    """What happens next: next, agent, voicemail, goodbye, or another destination's key."""

    no_answer: DestinationKey = "next"
    busy: DestinationKey = "next"
    declined: DestinationKey = "next"
    failed: DestinationKey = "next"
    closed: DestinationKey = Field(default="agent", description="Never next")
    exhausted: DestinationKey = Field(default="agent", description="After the last target; never next")
    completed: Literal["hang_up", "agent"] = Field(default="hang_up", description="When the person has hung up")


class Destination(Strict):
    """A person, or a line answered by people, that the agent may hand a caller to."""

    model_config = ConfigDict(json_schema_extra=_exactly_one("number", "targets"))

    name: Line = Field(description="What the agent calls it when it speaks: 'the billing team'")
    line: E164 | None = Field(
        default=None, alias="number", description="Where it rings, in E.164 form: +15550100001; instead of targets"
    )
    targets: list[Target] | None = Field(default=None, min_length=1, max_length=TARGETS)
    description: Line = Field(description="When to choose it; the model reads this")
    ring_seconds: int = Field(
        default=20,
        ge=RING_SECONDS[0],
        le=RING_SECONDS[1],
        description="How long it rings before it counts as no answer",
    )
    ring: Literal["in_order", "at_once"] = "in_order"
    mode: Literal["direct", "screened", "attended"] = Field(
        default="direct", description="Connected at once; after the person's key; or after it, while the caller stays"
    )
    hours: DestinationKey | None = Field(
        default=None, description="A schedule of the hours section; always open if absent"
    )
    whisper: str = Field(default="", max_length=WHISPER_CHARS, description="Said to the person first")
    key: Literal["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "#"] | None = Field(
        default=None, description="The telephone key that asks for it"
    )
    disposition: Disposition = Disposition()

    @property
    def number(self) -> str:
        """The number of its first phone; "" if it has none."""
        if self.line:
            return self.line
        return next((one.phone for one in self.targets or [] if one.phone), "")


class Delivery(Strict):
    """Where a message goes."""

    model_config = ConfigDict(json_schema_extra=_exactly_one(*Channel))

    webhook: Annotated[str, _form(Channel.WEBHOOK)] | None = None
    email: Annotated[str, _form(Channel.EMAIL)] | None = None
    topic: Annotated[str, _form(Channel.TOPIC)] | None = None
    sender: Annotated[
        Annotated[str, _form(Channel.EMAIL)] | None,
        Field(description="Of the e-mail, an identity of SES; the recipient if absent"),
    ] = None


class Voicemail(Strict):
    """How a message is taken."""

    greeting: Line = Field(description="What the caller hears before the tone")
    max_seconds: int = Field(default=120, ge=10, le=600)
    deliver: Delivery


class ScreenPop(Strict):
    """A link to the call's summary, sent when a telephone rings for a caller."""

    deliver: Delivery
    minutes: int = Field(default=15, ge=LINK_MINUTES[0], le=LINK_MINUTES[1], description="How long the link opens")


class Escalation(Strict):
    """What hands a caller to a person without the agent's wish; 0 switches a trigger off."""

    max_wait_seconds: int = Field(default=90, ge=10, le=600, description="Then a waiting caller is asked again")
    phrases: bool = Field(default=True, description="The caller's own words: 'let me speak to a human'")
    extra_phrases: list[Line] = Field(default=[], max_length=50)
    promise_seconds: float = Field(
        default=4, ge=0, le=30, allow_inf_nan=False, description="The agent promised a person and did not call one"
    )
    failed_turns: int = Field(default=3, ge=0, le=20, description="In a row, or as many tool errors")
    max_call_cost_usd: float = Field(default=0, ge=0, allow_inf_nan=False)
    silence: Literal["goodbye", "person"] = Field(
        default="goodbye", description="What follows when the agent has twice asked a silent caller: are you there?"
    )


class Guards(Strict):
    """What a transfer may never exceed, whoever asks for it."""

    countries: Annotated[
        list[Annotated[str, StringConstraints(pattern=r"^\+[1-9][0-9]{0,6}$")]] | None,
        Field(description="Permitted beginnings of numbers: +1; those of the listed numbers if absent"),
    ] = None
    transfers_per_call: int = Field(default=5, ge=1, le=50)
    transfers_per_caller_per_day: int = Field(default=20, ge=1, le=1000)
    enabled: bool = Field(default=True, description="false ends every transfer with a clear sentence")


assert {"in_order", "at_once"} == {*Order}, "the schema lists every order"
assert {"direct", "screened", "attended"} == {*Mode}, "the schema lists every mode"
assert set("0123456789*#") == DIGITS, "the schema lists every key"
