"""A question about the deployment, what was found, and how many are asked at once.

Every check runs in a thread of its own, with a time limit, after the checks it builds upon. Whatever it does, the
others run, and what is told of it is a finding: nothing here raises, and whatever is wrong says what to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import StrEnum
from threading import Thread
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError  # noqa: A004 - its own

from cli.checks.neighbours import Neighbours
from cli.errors import CommandError


class Mark(StrEnum):
    """How a check came out."""

    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found; `repair` is a command or one sentence, `data` is JSON-ready."""

    mark: Mark
    text: str
    repair: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


def good(text: str, **data: Any) -> Finding:
    """All is well."""
    return Finding(Mark.GOOD, text, data=data)


def warning(text: str, repair: str, **data: Any) -> Finding:
    """Calls are served, but somebody should look."""
    return Finding(Mark.WARNING, text, repair, data)


def bad(text: str, repair: str, **data: Any) -> Finding:
    """Calls suffer, or would."""
    return Finding(Mark.BAD, text, repair, data)


def not_checked(text: str, repair: str = "", **data: Any) -> Finding:
    """Nothing can be said yet, for the reason that `text` gives."""
    return Finding(Mark.NOT_CHECKED, text, repair, data)


@dataclass(frozen=True, slots=True)
class Check:
    """A question. `needs` are names of earlier checks that must not be bad or unasked; `seconds` is its time limit.

    `repair` is what to do when the question itself fails, in a way that nobody foresaw.
    """

    name: str
    ask: Callable[[Neighbours], Finding]
    repair: str
    needs: tuple[str, ...] = ()
    seconds: float = 20.0


def examine(checks: Sequence[Check], neighbours: Neighbours) -> Iterator[tuple[Check, Finding]]:
    """Ask everything at once; yields in the order given, each as soon as it is known."""
    findings: dict[str, Future[Finding]] = {}
    for check in checks:
        assert check.name not in findings, f"{check.name} is asked twice"
        assert all(name in findings for name in check.needs), f"{check.name} stands before what it needs"
        needed = {name: findings[name] for name in check.needs}
        findings[check.name] = Future()
        # Daemons: a thread that hangs in a socket must not keep the command from ending.
        Thread(target=_conduct, args=(check, neighbours, needed, findings[check.name]), daemon=True).start()
    for check in checks:
        yield check, findings[check.name].result()


def _conduct(
    check: Check, neighbours: Neighbours, needed: Mapping[str, Future[Finding]], finding: Future[Finding]
) -> None:
    for name, future in needed.items():
        if future.result().mark in {Mark.BAD, Mark.NOT_CHECKED}:
            finding.set_result(not_checked(f"needs '{name}' first"))
            return
    answer: Future[Finding] = Future()
    Thread(target=lambda: answer.set_result(_ask(check, neighbours)), daemon=True).start()
    try:
        finding.set_result(answer.result(check.seconds))
    except TimeoutError:
        finding.set_result(bad(f"no answer within {check.seconds:g} s", check.repair))


def _ask(check: Check, neighbours: Neighbours) -> Finding:
    try:
        return check.ask(neighbours)
    except CommandError as error:
        return bad(f"{error.what}: {error.why}", error.fix)
    except (ConnectionError, HTTPClientError) as error:  # botocore's own
        return bad(" ".join(str(error).split()), "check the network, and AWS_ENDPOINT_URL if it is set")
    except (BotoCoreError, ClientError) as error:
        return bad(" ".join(str(error).split()), check.repair)
    except Exception as error:  # noqa: BLE001 - a check that fails is a finding; its text may hold a secret, so only its kind is told
        return bad(f"it cannot be asked ({type(error).__name__})", check.repair)
