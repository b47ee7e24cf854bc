from __future__ import annotations

import json
import math
from datetime import date
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cli.app import main
from cli.cost import PRICES, Line, Month, bill
from cli.deployment import ROOT
from cli.errors import CommandError
from infra.settings import load

SETTINGS = load(ROOT, "prod")
TABLE: dict[str, Any] = yaml.safe_load(PRICES.read_text(encoding="utf-8"))


def month(**given: Any) -> Month:
    return Month(**{"calls": 1000, "minutes": 3.0, **given})


def reckon(**given: Any) -> dict[str, Line]:
    lines = bill(month(**given), SETTINGS, TABLE, "gpt-realtime-2.1", "gpt-transcribe")
    return {f"{line.who}: {line.what}": line for line in lines}


def test_twilio_counts_every_begun_minute_of_each_leg() -> None:
    lines = reckon(minutes=2.1, transferred=0.5, transfer_minutes=4.5)
    # 500 calls of 2.1 minutes, 500 of 6.6; the stream ends with the agent.
    assert lines["Twilio: calls that come in"].quantity == 500 * 3 + 500 * 7
    assert lines["Twilio: media streams"].quantity == 1000 * 3
    assert lines["Twilio: legs to people"].quantity == 500 * 5
    assert lines["Twilio: numbers"].amount == 1.15


def test_first_time_speech_costs_what_openai_says() -> None:
    # One turn: nothing is read again. Six seconds of the agent are 120 tokens, nine of the caller 90 …
    lines = reckon(calls=1, minutes=10 / 60, talk=0.6)
    assert math.isclose(lines["OpenAI: gpt-realtime-2.1: audio said"].amount, 120 * 64 / 1e6)
    assert math.isclose(lines["OpenAI: gpt-realtime-2.1: audio read"].amount, (40 + 120) * 32 / 1e6)
    assert lines["OpenAI: gpt-realtime-2.1: audio read again, cached"].amount == 0


def test_what_is_read_again_is_cheaper_from_the_cache() -> None:
    def total(cached: float) -> float:
        return sum(line.amount for line in reckon(cached=cached).values())

    assert total(1.0) < total(0.8) < total(0.0)


def test_aws_is_two_tasks_of_the_stage_and_what_stands_before_them() -> None:
    lines = reckon()
    fixed = sum(line.amount for name, line in lines.items() if name.startswith("AWS"))
    # 57.7 for two tasks of 1 vCPU and 2 GB, 16.4 for the load balancer, 7.3 for addresses, 0.6 for 50 hours, 2 warm.
    assert math.isclose(fixed, 57.66 + 16.43 + 7.30 + 0.56 + 1.98, abs_tol=0.1)


def test_more_calls_than_two_tasks_carry_need_more() -> None:
    assert "AWS: 2 tasks: CPU" in reckon()
    assert "AWS: 16 tasks: CPU" in reckon(calls=4_000_000, minutes=3)


@given(
    st.builds(
        Month,
        calls=st.integers(1, 10**6),
        minutes=st.floats(0.01, 60),
        talk=st.floats(0, 1),
        cached=st.floats(0, 1),
        transferred=st.floats(0, 1),
        transfer_minutes=st.floats(0.01, 240),
        numbers=st.integers(0, 100),
    )
)
def test_every_amount_is_finite_and_never_negative_and_a_call_more_is_never_cheaper(one: Month) -> None:
    def total(month: Month) -> float:
        return sum(line.amount for line in bill(month, SETTINGS, TABLE, "gpt-realtime-2.1", "gpt-transcribe"))

    lines = bill(one, SETTINGS, TABLE, "gpt-realtime-2.1", "gpt-transcribe")
    assert all(math.isfinite(line.amount) and line.amount >= 0 for line in lines)
    more = Month(**{name: getattr(one, name) for name in Month.__slots__} | {"calls": one.calls + 1})
    assert total(more) >= total(one)


@pytest.mark.parametrize(
    "given",
    [
        {"calls": 0},
        {"calls": -1},
        {"minutes": 0},
        {"minutes": -3},
        {"minutes": math.nan},
        {"minutes": math.inf},
        {"minutes": 61},
        {"talk": 1.1},
        {"talk": -0.1},
        {"cached": 2},
        {"transferred": 1.5},
        {"transferred": 0.3},
        {"transfer_minutes": 500},
        {"numbers": -1},
    ],
)
def test_a_month_that_cannot_be_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(CommandError):
        month(**given)


def prices(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, dict):
        own = [content] if "source" in content else []
        return own + [found for inner in content.values() for found in prices(inner)]
    return []


def test_every_price_has_unit_source_and_date_and_says_whether_it_is_confirmed() -> None:
    every = prices(TABLE)
    assert len(every) >= 15
    for price in every:
        assert isinstance(price["read"], date)
        assert isinstance(price["confirmed"], bool)
        assert price["source"]
        assert price.get("unit") or {"text", "audio"} <= price.keys()
        assert not price["confirmed"] or price["source"].startswith("https://")


def test_the_agents_own_models_have_a_price() -> None:
    assert SETTINGS.agent.model in TABLE["openai"]
    assert SETTINGS.agent.transcription_model in TABLE["transcription"]


def test_the_command_says_what_is_not_confirmed_and_not_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cost", "--calls", "1000", "--minutes", "3"]) == 0
    out = capsys.readouterr().out
    assert "not confirmed: media streams" in out
    assert "not counted: reasoning tokens" in out
    assert main(["cost", "--calls", "1000", "--minutes", "3", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert math.isclose(document["total"], sum(line["amount"] for line in document["lines"]))
    assert math.isclose(document["per_call"] * 1000, document["total"])
    assert document["not_confirmed"]
    assert document["not_counted"]


def test_an_unknown_model_is_refused_and_the_known_ones_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cost", "--calls", "1", "--minutes", "1", "--model", "gpt-9"]) == 1
    assert "gpt-realtime-2.1-mini" in capsys.readouterr().err
    assert main(["cost", "--calls", "1", "--minutes", "1", "--model", "gpt-realtime-2.1-mini"]) == 0
