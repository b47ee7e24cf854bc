"""`patchthrough cost`: a month in money, line by line, from the prices in `prices.yaml`.

Nothing unknown is counted as nothing: what is not in the sum, and every price that was not read at its source, is said.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console

from cli.deployment import Deployment, JsonOption, StageOption
from cli.errors import CommandError
from cli.screen import Screen, table
from infra.settings import Settings

PRICES = Path(__file__).with_name("prices.yaml")
HOURS = 730
"""Hours of a month, as AWS reckons."""
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """What a month brings. `talk`: the agent's share of the time; `cached`: how much of what the model reads again."""

    calls: int
    minutes: float
    talk: float = 0.4
    cached: float = 0.8
    transferred: float = 0.0
    transfer_minutes: float = 0.0
    numbers: int = 1

    def __post_init__(self) -> None:
        whole = {"--calls": (self.calls, 10**8), "--numbers": (self.numbers, 10**5)}
        lasting = {"--minutes": (self.minutes, 60), "--transfer-minutes": (self.transfer_minutes, 240)}
        shares = {"--talk": (self.talk, 1), "--cached": (self.cached, 1), "--transferred": (self.transferred, 1)}
        for name, (value, most) in {**whole, **lasting, **shares}.items():
            if not (math.isfinite(value) and 0 <= value <= most):
                raise CommandError(name, f"{value:g} is out of range", f"choose 0 to {most:g}")
        if self.calls < 1 or self.minutes <= 0:
            raise CommandError(
                "cost", "a month without calls has no price per call", "choose --calls and --minutes above 0"
            )
        if self.transferred > 0 and self.transfer_minutes <= 0:
            raise CommandError("--transferred", "how long a person talks is not given", "add --transfer-minutes 5")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the bill: how many of which unit, and US dollars."""

    who: str
    what: str
    quantity: float
    unit: str
    amount: float
    confirmed: bool
    source: str


def bill(month: Month, settings: Settings, prices: Mapping[str, Any], model: str, transcription: str) -> list[Line]:
    """The month's lines.

    Raises:
        CommandError: a model has no price.
    """
    return [
        *_twilio(month, prices),
        *_openai(month, settings, prices, model, transcription),
        *_aws(month, settings, prices),
    ]


def _line(who: str, what: str, quantity: float, price: Mapping[str, Any]) -> Line:
    amount = quantity * float(price["price"])
    return Line(who, what, quantity, str(price["unit"]), amount, bool(price["confirmed"]), str(price["source"]))


def _twilio(month: Month, prices: Mapping[str, Any]) -> list[Line]:
    """Every leg is rounded up to whole minutes by itself.

    https://www.twilio.com/en-us/changelog/billing-changes-for-conference-voice-insights-and-byoc-usage
    """
    twilio, transfers = prices["twilio"], month.calls * month.transferred
    stayed = (month.calls - transfers) * _begun(month.minutes)
    inbound = stayed + transfers * _begun(month.minutes + month.transfer_minutes)
    return [
        _line("Twilio", "calls that come in", inbound, twilio["inbound_minute"]),
        _line("Twilio", "media streams", month.calls * _begun(month.minutes), twilio["stream_minute"]),
        _line("Twilio", "legs to people", transfers * _begun(month.transfer_minutes), twilio["outbound_minute"]),
        _line("Twilio", "numbers", month.numbers, twilio["number_month"]),
    ]


def _begun(minutes: float) -> int:
    return math.ceil(round(minutes, 6))


def _openai(month: Month, settings: Settings, prices: Mapping[str, Any], model: str, transcription: str) -> list[Line]:
    """Speech is read once as it is said, and again with every later turn, then mostly from the model's cache.

    https://developers.openai.com/api/docs/guides/voice-latency-cost
    """
    price, rate = _priced(prices["openai"], model), prices["tokens"]
    seconds = month.minutes * 60
    turns = max(1, math.ceil(seconds / rate["seconds_a_turn"]))
    spoken = seconds * month.talk * rate["agent_second"]
    heard = seconds * (1 - month.talk) * rate["caller_second"]
    # On average, a turn reads half of the whole conversation again.
    again = (spoken + heard) * (turns - 1) / 2
    instructions = (len(settings.agent.persona) + 2000) * rate["character"]
    audio = {
        "input": heard + spoken + again * (1 - month.cached),
        "cached": again * month.cached,
        "output": spoken,
    }
    text = {
        "input": instructions * (1 + (turns - 1) * (1 - month.cached)),
        "cached": instructions * (turns - 1) * month.cached,
        "output": seconds * month.talk * rate["agent_text_second"],
    }
    words = {"input": "read", "cached": "read again, cached", "output": "said"}
    lines = []
    for kind, tokens in {"audio": audio, "text": text}.items():
        for way, count in tokens.items():
            each = {**price, "price": price[kind][way] / _MILLION, "unit": f"{kind} tokens"}
            lines.append(_line("OpenAI", f"{model}: {kind} {words[way]}", month.calls * count, each))
    minutes = month.calls * month.minutes * (1 - month.talk)
    lines.append(_line("OpenAI", transcription, minutes, _priced(prices["transcription"], transcription)))
    return lines


def _priced(prices: Mapping[str, Any], model: str) -> Mapping[str, Any]:
    if model not in prices:
        fix = f"choose one of {', '.join(prices)}, or add it to cli/prices.yaml"
        raise CommandError(f"model {model}", "its price is not known", fix)
    found: Mapping[str, Any] = prices[model]
    return found


def _aws(month: Month, settings: Settings, prices: Mapping[str, Any]) -> list[Line]:
    aws, relay = prices["aws"], settings.relay
    call_hours = month.calls * month.minutes / 60
    tasks = max(relay.min_tasks, math.ceil(call_hours / HOURS / relay.target_calls))
    balancer_addresses = 2 if settings.domain else 0  # without a domain it is internal
    return [
        _line("AWS", f"{tasks} tasks: CPU", tasks * HOURS * relay.cpu / 1024, aws["vcpu_hour"]),
        _line("AWS", f"{tasks} tasks: memory", tasks * HOURS * relay.memory / 1024, aws["memory_hour"]),
        _line("AWS", "load balancer", HOURS, aws["balancer_hour"]),
        _line("AWS", "public addresses", (tasks + balancer_addresses) * HOURS, aws["address_hour"]),
        _line("AWS", "traffic of calls", call_hours, aws["call_hour"]),
        _line("AWS", "webhook kept warm", 1, aws["snapstart_month"]),
    ]


Calls = Annotated[int, typer.Option("--calls", help="Calls a month.")]
Minutes = Annotated[float, typer.Option("--minutes", help="Minutes with the agent, a call.")]
Talk = Annotated[float, typer.Option("--talk", help="The agent's share of the time; the caller has the rest.")]
Cached = Annotated[float, typer.Option("--cached", help="Share of what the model reads again that its cache has.")]
Transferred = Annotated[float, typer.Option("--transferred", help="Share of calls that are put through to a person.")]
TransferMinutes = Annotated[float, typer.Option("--transfer-minutes", help="Minutes with the person, a transfer.")]
Numbers = Annotated[int, typer.Option("--numbers", help="Telephone numbers.")]
ModelOption = Annotated[str | None, typer.Option("--model", help="Instead of the agent file's.")]


def cost(  # noqa: PLR0913 - one parameter an option
    *,
    calls: Calls,
    minutes: Minutes,
    talk: Talk = 0.4,
    cached: Cached = 0.8,
    transferred: Transferred = 0.0,
    transfer_minutes: TransferMinutes = 0.0,
    numbers: Numbers = 1,
    model: ModelOption = None,
    stage: StageOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Reckon a month: what Twilio, OpenAI and AWS charge for so many calls."""
    month = Month(
        calls=calls,
        minutes=minutes,
        talk=talk,
        cached=cached,
        transferred=transferred,
        transfer_minutes=transfer_minutes,
        numbers=numbers,
    )
    settings = Deployment.of(stage).settings
    prices = yaml.safe_load(PRICES.read_text(encoding="utf-8"))
    chosen = model or settings.agent.model
    lines = bill(month, settings, prices, chosen, settings.agent.transcription_model)
    show(month, lines, prices, Screen(as_json=as_json))


def show(month: Month, lines: list[Line], prices: Mapping[str, Any], screen: Screen) -> None:
    """The bill, its sum, and what is doubtful about it."""
    total = sum(line.amount for line in lines)
    per_call, per_minute = total / month.calls, total / (month.calls * month.minutes)
    unconfirmed = [f"{line.what} ({line.source})" for line in lines if not line.confirmed]
    document = {
        "currency": prices["currency"],
        "for": prices["region"],
        "month": {name: getattr(month, name) for name in Month.__slots__},
        "lines": [{name: getattr(line, name) for name in Line.__slots__} for line in lines],
        "total": total,
        "per_call": per_call,
        "per_minute": per_minute,
        "not_confirmed": unconfirmed,
        "not_counted": prices["not_counted"],
    }

    def human(console: Console) -> None:
        rows = [
            (line.who, line.what, f"{line.quantity:>12,.0f}", line.unit, f"{line.amount:>10,.2f}") for line in lines
        ]
        console.print(table(("", "", "quantity", "of", "USD"), rows))
        console.print(f"a month {total:,.2f} USD · a call {per_call:.3f} · a minute with the agent {per_minute:.3f}")
        console.print(f"for {prices['region']}; the model's cache is taken to have {month.cached:.0%}", markup=False)
        for text in unconfirmed:
            console.print(f"not confirmed: {text}", markup=False)
        for text in prices["not_counted"]:
            console.print(f"not counted: {text}", markup=False)

    screen.show(document, human)
