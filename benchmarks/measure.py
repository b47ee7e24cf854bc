"""One subject under load: windows at a steady number of calls, then more and more calls until it no longer keeps up."""

from __future__ import annotations

import asyncio
import gc
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.account import ACCOUNT_SID, AUTH_TOKEN
from benchmarks.aws import Aws
from benchmarks.load import Load
from benchmarks.readings import Readings
from benchmarks.stamps import percentile
from benchmarks.subjects import ROOT, Subject, free_port

MOST_DELAY_MS = 20.0  # the 99th percentile, either way, up to which a relay counts as keeping up
LATE_MS = 10.0  # a load that is later than this says nothing about the relay


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How long to look, and how far to go. Seconds, and numbers of calls."""

    calls: int
    windows: int
    window_seconds: float
    steps: Sequence[int]
    step_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One look at a subject. Delays in ms, sending to receiving, the load's own lateness included."""

    calls: int
    cpu_us: float
    busy: float
    up_p50: float
    up_p99: float
    down_p50: float
    down_p99: float
    barge_in_p50: float
    barge_in_p99: float
    late_p99: float
    arrived: float
    hung_up: int
    rss_mib: float

    @property
    def keeps_up(self) -> bool:
        delay = max(self.up_p99, self.down_p99)
        return delay < MOST_DELAY_MS and self.arrived > 0.99 and not self.hung_up


@dataclass(slots=True, kw_only=True)
class Result:
    """A subject's figures: `steady` at the plan's number of calls, `steps` up to the first that failed."""

    subject: str
    base_rss_mib: float
    steady: list[Window] = field(default_factory=list)
    steps: list[Window] = field(default_factory=list)
    first_audio_p50: float = 0.0
    failures: dict[str, int] = field(default_factory=dict)

    def median(self, figure: str) -> float:
        values: list[float] = [getattr(window, figure) for window in self.steady]
        return statistics.median(values)

    @property
    def capacity(self) -> int:
        """The most calls with which the subject kept up."""
        return max((window.calls for window in [*self.steady, *self.steps] if window.keeps_up), default=0)

    @property
    def saturated(self) -> bool:
        """Whether the search ended because the subject failed, not because the load did."""
        return bool(self.steps) and not self.steps[-1].keeps_up and self.steps[-1].late_p99 <= LATE_MS

    @property
    def kib_per_call(self) -> float:
        windows = [*self.steady[-1:], *self.steps]
        first, last = windows[0], windows[-1]
        if last.calls == first.calls:
            return (first.rss_mib - self.base_rss_mib) * 1024 / first.calls
        return (last.rss_mib - first.rss_mib) * 1024 / (last.calls - first.calls)


def environ(model_url: str, aws_url: str, port: int) -> dict[str, str]:
    """What the relay is told; the other subjects read the port and the model's URL of it."""
    aws = {"AWS_ENDPOINT_URL": aws_url, "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
    names = {"LEDGER_TABLE": "ledger", "TRANSFER_QUEUE_URL": f"{aws_url}/123456789012/transfers"}
    secrets = {"TWILIO_AUTH_TOKEN_SECRET": "twilio", "OPENAI_API_KEY_SECRET": "openai"}
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        **aws,
        **names,
        **secrets,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "RELAY_PORT": str(port),
        "PUBLIC_MEDIA_ORIGIN": f"ws://127.0.0.1:{port}",
        "TWILIO_ACCOUNT_SID": ACCOUNT_SID,
        "OPENAI_REALTIME_URL": model_url,
        "AGENT_FILE": str(ROOT / "agent.yaml"),
        "MAX_CALLS": "2000",
        "DRAIN_SECONDS": "0",
    }


async def measure(name: str, plan: Plan) -> Result:
    """Start the subject, put it under load, and look."""
    aws = Aws({"twilio": f'{{"current":"{AUTH_TOKEN}"}}', "openai": "sk-local"})
    load = Load(aws.items)
    port = free_port()
    told = environ(await load.listen(), await aws.listen(), port)
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "log"
        async with Subject(name, told, log) as subject:
            await asyncio.sleep(0.5)
            result = Result(subject=name, base_rss_mib=subject.rss_mib())
            try:
                await _under_load(subject, load, plan, result, f"ws://127.0.0.1:{port}")
            finally:
                load.hang_up()
                await asyncio.sleep(0.3)
        result.failures = _failures(log)
    return result


async def _under_load(subject: Subject, load: Load, plan: Plan, result: Result, origin: str) -> None:
    load.speak()
    await load.grow(plan.calls, origin)
    await asyncio.sleep(2)
    result.first_audio_p50 = percentile(load.readings.first_audio, 0.5) / 1000
    gc.collect()
    gc.freeze()
    for _ in range(plan.windows):
        result.steady.append(await _look(subject, load, plan.window_seconds))
    for calls in plan.steps:
        await load.grow(calls, origin)
        await asyncio.sleep(1)
        window = await _look(subject, load, plan.step_seconds)
        if load.refused:
            window = replace(window, hung_up=window.hung_up + load.refused)
        elif not window.keeps_up:  # a second look, for somebody else may have used the core
            window = await _look(subject, load, plan.step_seconds)
        result.steps.append(window)
        if not window.keeps_up or window.late_p99 > LATE_MS:
            break


async def _look(subject: Subject, load: Load, seconds: float) -> Window:
    gc.disable()
    readings = load.readings
    readings.reset()
    began, cpu = time.perf_counter(), subject.cpu_seconds()
    await asyncio.sleep(seconds)
    cpu, elapsed = subject.cpu_seconds() - cpu, time.perf_counter() - began
    window = _window(len(load.callers), readings, cpu, elapsed, subject.rss_mib())
    gc.enable()
    return window


def _window(calls: int, readings: Readings, cpu: float, elapsed: float, rss_mib: float) -> Window:
    def ms(values: Sequence[float], share: float) -> float:
        return round(percentile(values, share) / 1000, 3)

    return Window(
        calls=calls,
        cpu_us=round(cpu * 1e6 / max(1, readings.arrived), 1),
        busy=round(cpu / elapsed, 3),
        up_p50=ms(readings.up, 0.5),
        up_p99=ms(readings.up, 0.99),
        down_p50=ms(readings.down, 0.5),
        down_p99=ms(readings.down, 0.99),
        barge_in_p50=ms(readings.barge_in, 0.5),
        barge_in_p99=ms(readings.barge_in, 0.99),
        late_p99=ms(readings.late, 0.99),
        arrived=round(readings.arrived / max(1, readings.sent), 4),
        hung_up=readings.hung_up,
        rss_mib=round(rss_mib, 1),
    )


def _failures(log: Path) -> dict[str, int]:
    """Event lines that should not be there, counted by name."""
    text = log.read_text(errors="replace")
    names = ("effect.failed", "ledger.failed", "media.refused", "model.failed", "model.error", "frame.malformed")
    counts = {name: text.count(f'"event":"{name}"') for name in names}
    counts["Traceback"] = text.count("Traceback")
    return {name: count for name, count in counts.items() if count}
