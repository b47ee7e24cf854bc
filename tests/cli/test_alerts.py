from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import pytest

from cli.checks.alerts import ALERTS, CAUSES
from cli.checks.check import Mark
from tests.cli.health import MEDIA, NOW, ORIGIN, Healthy, Listed, ask


def alert(code: object, url: str | None = "") -> SimpleNamespace:
    return SimpleNamespace(error_code=code, request_url=url, date_created=NOW)


def test_no_alert_is_good() -> None:
    line = Healthy()
    assert ask(ALERTS, line).text == "none in 24 hours"
    assert line.alerts.asked[0]["start_date"] == NOW - timedelta(hours=24)


def test_alerts_are_told_by_code_with_cause_and_repair_the_commonest_first() -> None:
    line = Healthy()
    line.alerts = Listed(alert("11200", f"{ORIGIN}/voice/incoming"), *[alert("31920", f"{MEDIA}/media/x")] * 3)
    finding = ask(ALERTS, line)
    assert finding.mark is Mark.WARNING
    assert finding.text.startswith("3 x 31920: the media socket was refused")
    assert finding.repair == CAUSES[31920].command
    assert [one["code"] for one in finding.data["alerts"]] == [31920, 11200]


def test_alerts_about_other_applications_are_only_counted() -> None:
    line = Healthy()
    line.alerts = Listed(alert("11200", "https://elsewhere.example.com/x"))
    finding = ask(ALERTS, line)
    assert (finding.mark, finding.text) == (Mark.GOOD, "none in 24 hours (1 about other applications)")


@pytest.mark.parametrize("code", ["99999", None, "x", 31920])
def test_any_code_is_told(code: object) -> None:
    line = Healthy()
    line.alerts = Listed(alert(code, None))
    assert ask(ALERTS, line).mark is Mark.WARNING


def test_many_codes_are_cut_short_and_the_rest_is_counted() -> None:
    line = Healthy()
    line.alerts = Listed(*[alert(str(code)) for code in list(CAUSES)[:6]])
    finding = ask(ALERTS, line)
    assert "; and 2 codes more" in finding.text
    assert len(finding.data["alerts"]) == 6


@pytest.mark.parametrize(
    "code", [31901, 31902, 31903, 31910, 31920, 31921, 31924, 31931, 31951, 11200, 11205, 12100, 13227]
)
def test_every_code_that_a_caller_can_hear_is_known(code: int) -> None:
    assert CAUSES[code].why
    assert CAUSES[code].command
