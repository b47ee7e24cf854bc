"""Writes a run's folder: recording, events, transcript, picture and a page that needs nothing else."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from markupsafe import Markup

from contracts import events
from simulators import audio
from simulators.report import silence, story
from simulators.report.picture import svg, templates
from simulators.report.run import Run


def write(folder: Path, run: Run) -> None:
    """Write all files of a run into `folder`, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    audio.write_wav(folder / "call.wav", run.mouth, run.ear)
    _write_lines(folder / "events.jsonl", [dict(line) for line in run.events])
    turns: list[dict[str, object]] = [{"at": turn.at, "who": turn.who, "text": turn.text} for turn in run.turns]
    _write_lines(folder / "transcript.jsonl", turns)
    picture = svg(run)
    (folder / "timeline.svg").write_text(picture, encoding="utf-8")
    (folder / "report.html").write_text(html(run, picture, (folder / "call.wav").read_bytes()), encoding="utf-8")


def html(run: Run, picture: str, wav: bytes) -> str:
    """The report page, with picture and recording inside it.

    `picture` is the one thing taken as markup; it comes from an escaping template.
    """
    return templates.get_template("report.html.j2").render(
        run=run,
        sentence=story.sentence(run.events),
        recording=f"data:audio/wav;base64,{base64.b64encode(wav).decode('ascii')}",
        picture=Markup(picture),  # noqa: S704 - made by an escaping template
        facts=_facts(run),
        stages=story.stages(run.events),
        lines=[json.dumps(dict(line), ensure_ascii=False) for line in run.events],
    )


def ringing(run: Run) -> list[tuple[float, float]]:
    """The stretches in which the carrier rings somebody (seconds from, to): its cadence is not ours to fill."""
    begins = {events.TRANSFER_ANSWERED.name, events.TRANSFER_DIALLED.name, events.DEFAULT_PERSON.name}
    ends = {events.TRANSFER_BRIDGED.name, events.TRANSFER_OVER.name, events.DIAL_ENDED.name, events.CALL_ENDED.name}
    found, since = [], None
    for line in run.events:
        if line["event"] in begins and since is None:
            since = run.seconds(line)
        elif line["event"] in ends and since is not None:
            found.append((since, run.seconds(line)))
            since = None
    return found


def longest_silence(run: Run) -> silence.Gap:
    """The longest silence at the caller's ear that was not the caller's turn nor the carrier's ringing."""
    hung_up = story.ending(run.events).by == "caller"
    return silence.longest(silence.gaps(run.mouth, run.ear, excused=ringing(run), caller_hung_up=hung_up))


def _facts(run: Run) -> list[tuple[str, str]]:
    how = story.ending(run.events)
    gap = longest_silence(run)
    interruptions = sum(line["event"] == events.BARGE_IN.name for line in run.events)
    return [
        ("length", f"{len(run.ear) / audio.BYTES_PER_MS / 1000:.1f} s"),
        ("ended", f"{how.reason or 'unknown'}{f' (by {how.by})' if how.by else ''}"),
        ("interruptions", str(interruptions)),
        ("longest wait in silence", f"{gap.length:.2f} s at {gap.start:.1f} s"),
    ]


def _write_lines(path: Path, objects: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in objects), encoding="utf-8")
