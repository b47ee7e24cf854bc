"""AWS AppConfig over the wire, as far as a configuration's life goes: both its APIs behind one socket.

Strict where AWS is: a JSON Schema validator speaks draft 4 and is obeyed when a deployment starts; one deployment at a
time an environment; a token is good for one question, within a day, and not before its time.
https://docs.aws.amazon.com/appconfig/2019-10-09/APIReference/Welcome.html
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.serving import WSGIRequestHandler
from werkzeug.wrappers import Request, Response

from simulators.cloud.configurations import UNDER_WAY, Deployment, Profile, Refused, bad, missing
from simulators.cloud.wsgi import LoopbackServer

TOKEN_SECONDS = 24 * 3600
POLL_SECONDS = 15, 86_400


@dataclass
class Session:
    """One client's place. `version` is the one it has; `allowed_at` its next question's time."""

    profile: Profile
    interval: int
    version: int
    born_at: float
    allowed_at: float


class AppConfig:
    """One application with one environment and one profile, as our stack makes it, and `AppConfig.AllAtOnce`.

    `now` gives seconds since the epoch; `next_poll` is the wait it tells clients, where theirs would be too long for a
    test. `down`: everything is answered with 500.
    """

    IDS = ("app0001", "env0001", "prf0001")
    STRATEGY = "str0001"

    def __init__(
        self,
        names: tuple[str, str, str] = ("patchthrough-dev", "live", "agent"),
        *,
        schema: dict[str, Any] | None = None,
        bake_minutes: float = 0,
        now: Callable[[], float] = time.time,
        next_poll: int | None = None,
    ) -> None:
        self._next_poll = next_poll
        self.profile = Profile(names[2], [] if schema is None else [schema])
        self.down = False
        self.asked: list[str] = []
        self._names = names
        self._now = now
        self._sessions: dict[str, Session] = {}
        self._strategy = {
            "Id": self.STRATEGY,
            "DeploymentDurationInMinutes": 0,
            "FinalBakeTimeInMinutes": bake_minutes,
            "GrowthType": "LINEAR",
            "GrowthFactor": 100.0,
        }
        self._server = LoopbackServer("appconfig", _Quiet)

    # ---- from the test -------------------------------------------------------------------------------------------

    def start(self) -> str:
        """Listen on a free port of the loopback interface; returns the endpoint URL."""
        return self._server.start(self)

    def stop(self) -> None:
        """Stop listening."""
        self._server.stop()

    def publish(self, content: str) -> int:
        """A version, deployed; returns its number. Validators are asked, as always."""
        number = self.profile.store(content.encode(), "application/json")
        self.profile.deploy(number, self._strategy, self._now())
        return number

    def alarm(self, why: str) -> None:
        """A monitored alarm rings: the deployment under way is rolled back."""
        latest = self.profile.deployments[-1]
        if latest.state(self._now()) in UNDER_WAY:
            latest.rolled_back_at, latest.why = self._now(), why

    # ---- the wire ------------------------------------------------------------------------------------------------

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """WSGI."""
        request = Request(environ)
        self.asked.append(f"{request.method} {request.path}")
        try:
            response = self._answer(request)
        except Refused as refused:
            headers = {"x-amzn-ErrorType": refused.code}
            response = Response(json.dumps(refused.more), refused.status, headers, mimetype="application/json")
        return response(environ, start_response)

    def _answer(self, request: Request) -> Response:
        if self.down:
            raise Refused(500, "InternalServerException", "the service is away")
        if "AWS4-HMAC-SHA256" not in request.headers.get("Authorization", ""):
            raise Refused(403, "MissingAuthenticationTokenException", "the request is not signed")
        try:
            endpoint, found = _ROUTES.bind_to_environ(request.environ).match()
        except HTTPException:
            raise Refused(404, "UnknownOperationException", f"{request.method} {request.path}") from None
        arguments = dict(found)
        for kind, expected in zip(("application", "environment", "profile"), self.IDS, strict=True):
            if arguments.pop(kind, expected) != expected:
                raise missing(kind)
        answer = getattr(self, f"_{endpoint}")(request, **arguments)
        if isinstance(answer, Response):
            return answer
        status, body = answer
        return Response(json.dumps(body) if body is not None else b"", status, mimetype="application/json")

    def _create_version(self, request: Request) -> Response:
        kind = request.headers.get("Content-Type")
        if not kind or not request.data:
            raise bad("ContentType and Content are required")
        latest = request.headers.get("Latest-Version-Number")
        if latest is not None and int(latest) != self.profile.last_version:
            raise Refused(409, "ConflictException", "LatestVersionNumber is not the latest")
        return self._version(self.profile.store(request.data, kind), 201)

    def _get_version(self, _request: Request, number: int) -> Response:
        return self._version(number, 200)

    def _list_versions(self, _request: Request) -> tuple[int, Any]:
        return 200, {"Items": [{"VersionNumber": one} for one in sorted(self.profile.versions, reverse=True)]}

    def _delete_version(self, _request: Request, number: int) -> tuple[int, Any]:
        if self.profile.versions.pop(number, None) is None:
            raise missing(f"version {number}")
        return 204, None

    def _start_deployment(self, request: Request) -> tuple[int, Any]:
        body = request.get_json()
        needed = ("DeploymentStrategyId", "ConfigurationProfileId", "ConfigurationVersion")
        if lacking := [name for name in needed if not isinstance(body.get(name), str)]:
            raise bad(f"{', '.join(lacking)} is required")
        if body["ConfigurationProfileId"] != self.IDS[2]:
            raise missing("profile")
        if body["DeploymentStrategyId"] not in {self.STRATEGY, "AppConfig.AllAtOnce"}:
            raise missing("deployment strategy")
        return 201, self._view(self.profile.deploy(int(body["ConfigurationVersion"]), self._strategy, self._now()))

    def _get_deployment(self, _request: Request, number: int) -> tuple[int, Any]:
        if not 1 <= number <= len(self.profile.deployments):
            raise missing(f"deployment {number}")
        return 200, self._view(self.profile.deployments[number - 1])

    def _list_deployments(self, request: Request) -> tuple[int, Any]:
        views = [self._view(one) for one in reversed(self.profile.deployments)]
        most = request.args.get("max_results", 50, type=int)
        return 200, {"Items": [{key: one[key] for key in one if key != "EventLog"} for one in views[:most]]}

    def _start_session(self, request: Request) -> tuple[int, Any]:
        body, now = request.get_json(), self._now()
        named = [body.get(f"{kind}Identifier") for kind in ("Application", "Environment", "ConfigurationProfile")]
        for given, name, identifier in zip(named, self._names, self.IDS, strict=True):
            if given not in {name, identifier}:
                raise missing(str(given))
        interval = body.get("RequiredMinimumPollIntervalInSeconds", POLL_SECONDS[0])
        if not isinstance(interval, int) or not POLL_SECONDS[0] <= interval <= POLL_SECONDS[1]:
            raise bad("RequiredMinimumPollIntervalInSeconds is not from 15 to 86400")
        return 201, {
            "InitialConfigurationToken": self._token(Session(self.profile, self._next_poll or interval, 0, now, now))
        }

    def _get_latest(self, request: Request) -> Response:
        now = self._now()
        session = self._sessions.pop(request.args.get("configuration_token", ""), None)
        if session is None or now - session.born_at > TOKEN_SECONDS:
            raise bad("the token is used, expired or unknown", Reason="InvalidParameters")
        if now < session.allowed_at:
            raise bad("Request too early", Reason="InvalidParameters")
        version = session.profile.served(now)
        content, kind = session.profile.versions.get(version, (b"", "application/octet-stream"))
        following = Session(session.profile, session.interval, version, now, now + session.interval)
        headers = {
            "Next-Poll-Configuration-Token": self._token(following),
            "Next-Poll-Interval-In-Seconds": str(session.interval),
        }
        return Response(b"" if version == session.version else content, 200, headers, content_type=kind)

    # ---- what it does --------------------------------------------------------------------------------------------

    def _version(self, number: int, status: int) -> Response:
        if number not in self.profile.versions:
            raise missing(f"version {number}")
        content, kind = self.profile.versions[number]
        headers = {"Application-Id": self.IDS[0], "Configuration-Profile-Id": self.IDS[2], "Version-Number": number}
        return Response(content, status, {name: str(value) for name, value in headers.items()}, content_type=kind)

    def _view(self, one: Deployment) -> dict[str, Any]:
        return one.view(self.profile.name, self._now())

    def _token(self, session: Session) -> str:
        token = uuid.uuid4().hex
        self._sessions[token] = session
        return token


class _Quiet(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Write nothing: the log belongs to the call's events."""


_VERSIONS = "/applications/<application>/configurationprofiles/<profile>/hostedconfigurationversions"
_DEPLOYMENTS = "/applications/<application>/environments/<environment>/deployments"
_ROUTES = Map(
    [
        Rule(_VERSIONS, methods=["POST"], endpoint="create_version"),
        Rule(_VERSIONS, methods=["GET"], endpoint="list_versions"),
        Rule(f"{_VERSIONS}/<int:number>", methods=["GET"], endpoint="get_version"),
        Rule(f"{_VERSIONS}/<int:number>", methods=["DELETE"], endpoint="delete_version"),
        Rule(_DEPLOYMENTS, methods=["POST"], endpoint="start_deployment"),
        Rule(_DEPLOYMENTS, methods=["GET"], endpoint="list_deployments"),
        Rule(f"{_DEPLOYMENTS}/<int:number>", methods=["GET"], endpoint="get_deployment"),
        Rule("/configurationsessions", methods=["POST"], endpoint="start_session"),
        Rule("/configuration", methods=["GET"], endpoint="get_latest"),
    ]
)
