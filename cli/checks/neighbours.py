"""Everything a check may touch: this machine's programs, AWS, Twilio, the model, and our own two public doors.

One object, so that a test can put another in its place. Whatever is asked may raise; `check.examine` expects that.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from twilio.rest import Client

from cli import openai_api, twilio_api
from cli.attachments import Attachment, Attachments
from cli.checks.doors import Answer, post, read, upgrade
from cli.deployment import Deployment
from cli.errors import CommandError
from infra.settings import Settings

_MAKING_CLIENTS = threading.Lock()


class SharedDeployment(Deployment):
    """A deployment for many threads: boto3's sessions are not made for them, its clients are.

    https://boto3.amazonaws.com/v1/documentation/api/latest/guide/clients.html#multithreading-or-multiprocessing-with-clients
    """

    @cached_property
    def _clients(self) -> dict[str, Any]:
        return {}

    def aws(self, service: str) -> Any:
        """A boto3 client, made once, while no other is."""
        with _MAKING_CLIENTS:
            if service not in self._clients:
                self._clients[service] = super().aws(service)
            return self._clients[service]


class Neighbours:
    """The real ones, for one stage. `connect_to` says where a host is really to be found: `doors.parse_places`."""

    def __init__(self, stage: str, connect_to: Mapping[str, str] | None = None) -> None:
        self.stage = stage
        self._connect_to = connect_to or {}

    @cached_property
    def deployment(self) -> Deployment:
        """The stage.

        Raises:
            CommandError: it cannot be used as it is set.
        """
        return SharedDeployment.of(self.stage)

    @property
    def settings(self) -> Settings:
        """The stage's settings."""
        return self.deployment.settings

    def now(self) -> datetime:
        """The time, in UTC."""
        return datetime.now(UTC)

    def run(self, *command: str) -> str:
        """What a program prints on stdout within ten seconds.

        Raises:
            OSError: there is no such program.
            subprocess.SubprocessError: it failed, or did not end.
        """
        done = subprocess.run(command, capture_output=True, check=True, text=True, timeout=10)  # noqa: S603 - our own fixed commands
        return done.stdout.strip()

    def region(self) -> str:
        """The AWS region, or ""."""
        return self.deployment.session.region_name or ""

    def aws(self, service: str) -> Any:
        """A boto3 client."""
        return self.deployment.aws(service)

    def outputs(self) -> Mapping[str, str]:
        """The stack's outputs."""
        return self.deployment.outputs

    def secret(self, name: str) -> str | None:
        """A secret."""
        return self.deployment.secret(name)

    def parameter(self, name: str) -> str | None:
        """A Systems Manager parameter."""
        return self.deployment.parameter(name)

    def auth_tokens(self) -> Sequence[str]:
        """The auth tokens in force, newest first.

        Raises:
            CommandError: none is stored.
        """
        stored = self.deployment.secret_object(self.settings.auth_token_secret)
        tokens = [str(stored[name]) for name in ("current", "previous") if stored.get(name)]
        if not tokens:
            fix = f"run './patchthrough secrets set twilio --stage {self.stage}'"
            raise CommandError("auth token", "the secret has not its form", fix)
        return tokens

    def account_sid(self) -> str:
        """Twilio's account SID as stored, or ""."""
        return self.parameter(self.settings.account_sid_parameter) or ""

    def twilio(self) -> Client:
        """Twilio, with the stored REST credential."""
        return twilio_api.client(self.deployment)

    def twilio_by_token(self) -> Client:
        """Twilio, with the auth token: an API key may not read its own account."""
        sid = self.account_sid()
        return twilio_api.connect(self.deployment.environ, sid, sid, self.auth_tokens()[0])

    def open_model(self) -> None:
        """Open the agent's session and close it.

        Raises:
            CommandError: it cannot be had.
        """
        name = self.settings.openai_secret
        # As the relay reads it: plain, or {"current": …}.
        key = str(self.deployment.secret_object(name).get("current") or self.secret(name) or "")
        openai_api.check_session(self.deployment.environ, self.settings.agent, key)

    def ask_webhook(self, url: str, form: Mapping[str, str], signature: str) -> Answer:
        """POST a form as Twilio does."""
        return post(url, form, signature, self._connect_to, time.monotonic)

    def ask_media(self, url: str) -> Answer:
        """Ask for a WebSocket, without any proof."""
        return upgrade(url, self._connect_to)

    def fetch(self, method: str, url: str) -> Answer:
        """Read a document; what Twilio hosts, from the Twilio that is in use."""
        host = urlsplit(url).netloc
        twilio = self.deployment.environ.get("TWILIO_API_BASE_URL")
        hosted = {host: twilio} if twilio and host.endswith(".twil.io") else {}
        return read(method, url, {**hosted, **self._connect_to}, time.monotonic)

    def attachments(self) -> Sequence[Attachment]:
        """The numbers that `number attach` remembers."""
        return Attachments(self.deployment).all()
