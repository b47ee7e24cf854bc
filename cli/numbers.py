"""`patchthrough number`: points Twilio numbers at a stage, and puts them back exactly as they were.

What decides here: a number is changed only by one update, and only after what it was is remembered; what is remembered
is forgotten only after it is put back. So whatever interrupts a command, the same command finishes the work.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
from twilio.base.exceptions import TwilioException
from twilio.rest import Client

from cli import fallback
from cli.attachments import FIELDS, Attachment, Attachments
from cli.deployment import Deployment, JsonOption, StageOption
from cli.errors import CommandError
from cli.screen import Screen, table
from cli.twilio_api import asking_twilio
from cli.twilio_api import client as twilio_client

app = typer.Typer(name="number", help="Which telephone numbers reach the stage.", no_args_is_help=True)

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_HTTPS = re.compile(r"https://[A-Za-z0-9.-]+(:[0-9]+)?(/[!-~]*)?")
_DEMO = re.compile(r"https?://demo\.twilio\.com/(welcome|docs)/voice(/|\.xml)?")  # what Twilio gives a new number
_ROUTING = ("voice_application_sid", "trunk_sid")
_VOICE = ("voice_url", "voice_method")
_FALLBACK = ("voice_fallback_url", "voice_fallback_method")
_CALLBACK = ("status_callback", "status_callback_method")

NumberArgument = Annotated[str, typer.Argument(metavar="NUMBER", help="In E.164 form: +15550100000")]
ForceOption = Annotated[bool, typer.Option("--force", help="Even if the number is pointed elsewhere.")]


@app.command("list")
def list_(stage: StageOption = "dev", *, as_json: JsonOption = False) -> None:
    """The account's numbers, and where each points."""
    deployment = Deployment.of(stage)
    client, attachments = twilio_client(deployment), Attachments(deployment)
    ours = {url for one in attachments.all() for url in one.ours}
    if deployment.stack is not None:
        ours.add(deployment.outputs.get("VoiceWebhookUrl", ""))
    with asking_twilio("the account's numbers"):
        numbers = client.incoming_phone_numbers.list()
    found = [
        {
            "sid": one.sid,
            "number": one.phone_number,
            "name": one.friendly_name or "",
            "voice": _speaks(one),
            "points_to": _points_to(one, ours),
            "voice_url": one.voice_url or "",
            "fallback": bool(one.voice_fallback_url),
        }
        for one in numbers
    ]
    Screen(as_json=as_json).show(found, lambda console: console.print(_shown(found)))


def _shown(found: list[dict[str, Any]]) -> Any:
    rows = [(one["number"], one["name"], _yes(one["voice"]), one["points_to"], _yes(one["fallback"])) for one in found]
    return table(("NUMBER", "NAME", "VOICE", "POINTS TO", "FALLBACK"), rows) if rows else "the account has no number"


def _yes(value: object) -> str:
    return "yes" if value else "no"


def _points_to(number: Any, ours: set[str]) -> str:
    if number.trunk_sid or number.voice_application_sid:
        return "elsewhere"
    if not number.voice_url or _DEMO.fullmatch(number.voice_url):
        return "nowhere"
    return "this stage" if number.voice_url in ours else "elsewhere"


@app.command()
def attach(
    number: NumberArgument,
    stage: StageOption = "dev",
    *,
    force: ForceOption = False,
    fallback_url: Annotated[
        str, typer.Option(help="Your own TwiML document for when all else fails, instead of one hosted by Twilio.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Point a number at the stage, and remember what it pointed at."""
    _form(number)
    if fallback_url and not _HTTPS.fullmatch(fallback_url):
        raise CommandError("--fallback-url", "it is not an https URL", "give one that Twilio can GET, as https://…")
    deployment = Deployment.of(stage)
    url = attach_number(deployment, twilio_client(deployment), number, force=force, fallback_url=fallback_url)
    done = f"{number} reaches stage {stage}; if nothing else answers, Twilio asks {url}"
    data = {"number": number, "stage": stage, "voice_url": deployment.outputs["VoiceWebhookUrl"], "fallback_url": url}
    Screen(as_json=as_json).show(data, lambda console: console.print(done, markup=False))


def attach_number(
    deployment: Deployment,
    client: Client,
    number: str,
    *,
    force: bool = False,
    fallback_url: str = "",
    **publishing: Callable[[float], None],
) -> str:
    """Point a number (E.164) at the deployment; the fallback URL that was set. May be repeated.

    Args:
        deployment: must be deployed.
        client: of the account that owns the number.
        number: E.164.
        force: take over a number that points elsewhere.
        fallback_url: the operator's own document; "" publishes one.
        publishing: `wait`, see `fallback.publish`.

    Raises:
        CommandError: not owned, no voice, pointed elsewhere, not deployed, or a service refuses.
    """
    outputs, attachments = deployment.outputs, Attachments(deployment)
    missing = [name for name in ("VoiceWebhookUrl", "CallStatusUrl") if name not in outputs]
    if missing:
        fix = f"run 'make deploy STAGE={deployment.settings.stage}'"
        raise CommandError(f"stack {deployment.settings.stack_name}", f"it has no output {missing[0]} yet", fix)
    owned = _owned(client, number)
    if not _speaks(owned):
        raise CommandError(number, "it cannot take voice calls", "choose one with VOICE yes in 'number list'")
    known = attachments.get(owned.sid)
    ours = {outputs["VoiceWebhookUrl"], *(known.ours if known else ())}
    if _points_to(owned, ours) == "elsewhere" and not force:
        raise CommandError(number, f"it points elsewhere: {_target(owned)}", "add --force to take it over")
    agent, name = deployment.settings.agent, deployment.settings.stack_name
    last_resort = fallback_url or fallback.publish(client, name, fallback.document(agent), **publishing)
    fields = {
        "voice_url": outputs["VoiceWebhookUrl"],
        "voice_method": "POST",
        "voice_fallback_url": last_resort,
        "voice_fallback_method": "GET",
        "status_callback": outputs["CallStatusUrl"],
        "status_callback_method": "POST",
        "voice_application_sid": "",
        "trunk_sid": "",
    }
    before = known or Attachment(sid=owned.sid, number=number, previous=_fields(owned))
    attachments.put(before.with_ours((fields["voice_url"], last_resort, fields["status_callback"])))
    with asking_twilio(number):
        client.incoming_phone_numbers(owned.sid).update(**fields)
    return last_resort


@app.command()
def detach(
    number: Annotated[str, typer.Argument(metavar="[NUMBER]", help="In E.164 form: +15550100000")] = "",
    stage: StageOption = "dev",
    *,
    every: Annotated[bool, typer.Option("--all", help="Every number of the stage.")] = False,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Put a number back as it was before it was attached."""
    if bool(number) == every:
        raise CommandError("number detach", "it needs either a number or --all", "name the number, as +15550100000")
    if number:
        _form(number)
    deployment = Deployment.of(stage)
    attached = [one for one in Attachments(deployment).all() if every or one.number == number]
    if number and not attached:
        raise CommandError(number, f"it is not attached to stage {stage}", "see './patchthrough number list'")
    told: list[str] = []
    if attached or _has_keys(deployment):  # `make destroy` meets stages that were never used, too
        told = detach_numbers(deployment, twilio_client(deployment), attached, force=force)
    done = [{"number": one.number, "done": what} for one, what in zip(attached, told, strict=True)]
    lines = [f"{one['number']}: {one['done']}" for one in done] or [f"no number is attached to stage {stage}"]
    Screen(as_json=as_json).show(done, lambda console: console.print("\n".join(lines), markup=False))


def detach_numbers(
    deployment: Deployment, client: Client, attached: Sequence[Attachment], *, force: bool = False
) -> list[str]:
    """Put numbers back as they were and forget them; what was done with each, in words. May be repeated.

    Args:
        deployment: need not be deployed any more.
        client: of the account that owns the numbers.
        attached: some of the deployment's attachments; after the last one Twilio's hosting is given up.
        force: put back what was pointed elsewhere meanwhile, too.

    Raises:
        CommandError: a service refuses.
    """
    attachments = Attachments(deployment)
    told = [_put_back(client, one, force=force) for one in attached]
    if {one.sid for one in attachments.all()} <= {one.sid for one in attached}:
        fallback.remove(client, deployment.settings.stack_name)
    for one in attached:
        attachments.forget(one.sid)
    return told


@app.command()
def refresh(stage: StageOption = "dev", *, as_json: JsonOption = False) -> None:
    """Publish the fallback document of attached numbers again: the default person may have changed."""
    deployment = Deployment.of(stage)
    hosted = [one.number for one in Attachments(deployment).all() if any(map(fallback.is_hosted, one.ours))]
    url = ""
    if hosted:
        name, document = deployment.settings.stack_name, fallback.document(deployment.settings.agent)
        url = fallback.publish(twilio_client(deployment), name, document)
    done = f"the fallback of {', '.join(hosted)} is up to date" if hosted else "no number has a fallback to refresh"
    Screen(as_json=as_json).show({"numbers": hosted, "fallback_url": url}, lambda console: console.print(done))


def _put_back(client: Client, attachment: Attachment, *, force: bool) -> str:
    """Put back what is still ours of a number; with `force`, everything."""
    resource = client.incoming_phone_numbers(attachment.sid)
    with asking_twilio(attachment.number):
        try:
            now = resource.fetch()
        except TwilioException as error:
            if getattr(error, "status", 0) != 404:
                raise
            return "the account does not own it any more"
        if _fields(now) == attachment.previous:
            return "is as it was"
        ours = set(attachment.ours)
        routed = force or _points_to(now, ours) == "this stage"
        names = [
            *(_ROUTING if routed else ()),
            *(_VOICE if force or now.voice_url in ours else ()),
            *(_FALLBACK if force or now.voice_fallback_url in ours else ()),
            *(_CALLBACK if force or now.status_callback in ours else ()),
        ]
        if names:
            resource.update(**{name: attachment.previous[name] for name in names if _settable(attachment, name)})
    return "put back as it was" if routed else "points elsewhere by now, and was left there"


def _settable(attachment: Attachment, name: str) -> bool:
    """Twilio takes an empty URL or SID, but no empty method."""
    return bool(attachment.previous[name]) or not name.endswith("_method")


def _has_keys(deployment: Deployment) -> bool:
    return bool(deployment.secret_object(deployment.settings.rest_secret))


def _form(number: str) -> None:
    if not _E164.fullmatch(number):
        raise CommandError(number, "it is not in E.164 form", "write it with + and country code, as +15550100000")


def _owned(client: Client, number: str) -> Any:
    with asking_twilio(number):
        found = client.incoming_phone_numbers.list(phone_number=number, limit=20)
    for one in found:
        if one.phone_number == number:
            return one
    raise CommandError(number, "the account does not own it", "see './patchthrough number list', or buy it at Twilio")


def _fields(number: Any) -> dict[str, str]:
    return {name: getattr(number, name) or "" for name in FIELDS}


def _target(number: Any) -> str:
    return str(number.trunk_sid or number.voice_application_sid or number.voice_url)


def _speaks(number: Any) -> bool:
    """Twilio's client gives capabilities as a mapping: https://www.twilio.com/docs/phone-numbers/api."""
    capabilities = number.capabilities
    return bool(capabilities.get("voice") if isinstance(capabilities, dict) else getattr(capabilities, "voice", False))
