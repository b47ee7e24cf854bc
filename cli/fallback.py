"""What a caller hears when nothing of ours is alive: a static document that Twilio itself hosts, and a person's number.

An asset of Twilio's serverless hosting: https://www.twilio.com/docs/serverless/api. Public assets answer GET only.
Publishing again finds what is there by name and puts a new version of the document in its place, at the same URL.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from twilio.rest import Client
from twilio.twiml.voice_response import Dial, VoiceResponse

from cli.errors import CommandError
from cli.twilio_api import HttpClient, asking_twilio
from contracts.agent_file import AgentFile
from contracts.sentences import Sentence, spoken

UPLOAD_ORIGIN = "https://serverless-upload.twilio.com"
PATH = "/fallback.xml"
BUILD_SECONDS, POLL_SECONDS = 180.0, 1.0
_NAME = "live"
_WHAT = "the number's fallback document"
_FIX = "give a standard API key, or the auth token, to './patchthrough secrets set twilio'"


def document(agent: AgentFile) -> str:
    """The TwiML: a sentence in the agent's language (English if it is not known here), the default person, a farewell.

    The farewell is heard after a conversation too, if the person hangs up first: a static document cannot tell.
    """
    before, after = (spoken(one, agent.language) for one in (Sentence.ASSISTANT_AWAY, Sentence.FAREWELL))
    person = agent.directory.default
    dial = Dial(answer_on_bridge=True, timeout=person.ring_seconds, time_limit=60 * agent.limits.max_dial_minutes)
    dial.number(person.number)
    response = VoiceResponse()
    response.say(before.text, language=before.language)
    response.append(dial)
    response.say(after.text, language=after.language)
    response.hangup()
    return str(response)


def publish(client: Client, name: str, twiml: str, *, wait: Callable[[float], None] = time.sleep) -> str:
    """Host the document under the service's unique name; its URL. `wait` is called with seconds between looks.

    Raises:
        CommandError: Twilio refuses, or the build fails or takes too long.
    """
    with asking_twilio(_WHAT, _FIX):
        services = client.serverless.v1.services
        service = _named(services.stream(), "unique_name", name) or services.create(
            unique_name=name, friendly_name="Patchthrough: what callers hear when all else fails"
        )
        inside = services(service.sid)
        environment = _named(inside.environments.stream(), "unique_name", _NAME) or inside.environments.create(
            unique_name=_NAME, domain_suffix=_NAME
        )
        asset = _named(inside.assets.stream(), "friendly_name", _NAME) or inside.assets.create(friendly_name=_NAME)
        version = _upload(client, service.sid, asset.sid, twiml)
        build = inside.builds.create(asset_versions=[version])
        _await(lambda: str(inside.builds(build.sid).fetch().status), wait)
        inside.environments(environment.sid).deployments.create(build_sid=build.sid)
    return f"https://{environment.domain_name}{PATH}"


def is_hosted(url: str) -> bool:
    """Whether a URL is that of a document hosted by Twilio."""
    return url.endswith(f".twil.io{PATH}")


def remove(client: Client, name: str) -> None:
    """Delete the service with all that it hosts; one that is not there is no error.

    Raises:
        CommandError: Twilio refuses.
    """
    with asking_twilio(_WHAT, _FIX):
        service = _named(client.serverless.v1.services.stream(), "unique_name", name)
        if service is not None:
            client.serverless.v1.services(service.sid).delete()


def _named(found: Iterable[Any], attribute: str, name: str) -> Any:
    return next((one for one in found if getattr(one, attribute) == name), None)


def _upload(client: Client, service_sid: str, asset_sid: str, twiml: str) -> str:
    """A new version of the asset: https://www.twilio.com/docs/serverless/api/resource/asset-version."""
    http_client = client.http_client
    assert isinstance(http_client, HttpClient), "clients are made by cli.twilio_api.connect"
    version = http_client.upload(
        f"{UPLOAD_ORIGIN}/v1/Services/{service_sid}/Assets/{asset_sid}/Versions",
        auth=client.auth,
        fields={"Path": PATH, "Visibility": "public"},
        file=(PATH.removeprefix("/"), twiml, "text/xml"),
    )
    return str(version["sid"])


def _await(status: Callable[[], str], wait: Callable[[float], None]) -> None:
    waited = 0.0
    while (now := status()) != "completed":
        if now == "failed" or waited >= BUILD_SECONDS:
            why = "Twilio's build failed" if now == "failed" else f"Twilio's build took longer than {waited:g} s"
            raise CommandError(_WHAT, why, "try again, or host the document yourself and give --fallback-url")
        wait(POLL_SECONDS)
        waited += POLL_SECONDS
