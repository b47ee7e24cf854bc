"""Twilio's REST API for one deployment: Twilio's own client, in seconds, and its errors as an operator reads them.

`TWILIO_API_BASE_URL` moves every request to another server, whatever sub-domain of twilio.com it was meant for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests
from twilio.base.exceptions import TwilioException
from twilio.http.http_client import TwilioHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from cli.deployment import Deployment
from cli.errors import CommandError

CONNECT_SECONDS, READ_SECONDS = 5, 20
UNAUTHORIZED, ACCOUNT_NOT_ACTIVE, NOT_FOUND, TOO_MANY_REQUESTS = 20003, 20005, 20404, 20429


class HttpClient(TwilioHttpClient):  # type: ignore[misc]  # Twilio ships no types
    """Twilio's HTTP client with a time limit, towards `base_url` (scheme and host) if one is given."""

    def __init__(self, base_url: str | None) -> None:
        super().__init__()
        self._base = urlsplit(base_url) if base_url else None
        # The environment's proxy and .netrc are for the real service alone.
        self.session.trust_env = base_url is None

    def moved(self, url: str) -> str:
        """Where a request to `url` really goes."""
        if self._base is None:
            return url
        return urlunsplit(urlsplit(url)._replace(scheme=self._base.scheme, netloc=self._base.netloc))

    def request(self, method: str, url: str, *args: Any, **options: Any) -> Response:
        """Send one request; see `TwilioHttpClient.request`."""
        options["timeout"] = None  # the pair below cannot be compared with a number, as the caller's would be
        self.timeout = (CONNECT_SECONDS, READ_SECONDS)
        return super().request(method, self.moved(url), *args, **options)

    def upload(
        self, url: str, *, auth: tuple[str, str], fields: Mapping[str, str], file: tuple[str, str, str]
    ) -> dict[str, Any]:
        """POST a form with one file `(name, content, content type)`, which Twilio's client cannot do; its JSON answer.

        Raises:
            UploadRefused: any status but 201.
        """
        form = {"Content": file}
        timeout = (CONNECT_SECONDS, READ_SECONDS)
        answer = self.session.post(self.moved(url), auth=auth, data=fields, files=form, timeout=timeout)
        if answer.status_code != 201:
            raise UploadRefused(answer)
        content: dict[str, Any] = answer.json()
        return content


class UploadRefused(TwilioException):  # type: ignore[misc]  # Twilio ships no types
    """An upload was refused; `status`, `code` and `msg` as Twilio's own exceptions have them."""

    def __init__(self, answer: requests.Response) -> None:
        try:
            body = answer.json()
        except ValueError:
            body = {}
        self.status, self.code, self.msg = answer.status_code, body.get("code"), str(body.get("message", ""))
        super().__init__(f"HTTP {self.status}")


def connect(environ: Mapping[str, str], account_sid: str, username: str, password: str) -> Client:
    """A client for one account, with the account's own token or an API key as (username, password)."""
    http_client = HttpClient(environ.get("TWILIO_API_BASE_URL") or None)
    # An empty environment of its own: TWILIO_REGION and TWILIO_EDGE would send the keys elsewhere.
    return Client(username, password, account_sid, http_client=http_client, environment={"": ""})


def client(deployment: Deployment) -> Client:
    """The deployment's client, with the stored account SID and REST credential.

    Raises:
        CommandError: one of them is not stored, or AWS cannot be asked.
    """
    settings = deployment.settings
    account_sid = deployment.parameter(settings.account_sid_parameter)
    stored = deployment.secret_object(settings.rest_secret)
    if not account_sid or not stored.get("username") or not stored.get("password"):
        fix = f"run './patchthrough secrets set twilio --stage {settings.stage}'"
        raise CommandError("Twilio", "no account SID and REST credential are stored for this stage", fix)
    return connect(deployment.environ, account_sid, str(stored["username"]), str(stored["password"]))


@contextmanager
def asking_twilio(what: str, fix: str = "run './patchthrough secrets set twilio'") -> Iterator[None]:
    """Raises what Twilio refuses inside as a `CommandError` about `what`; `fix` is for refused credentials.

    Codes: https://www.twilio.com/docs/api/errors/20003, …/20005, …/20404, …/20429.
    """
    try:
        yield
    except TwilioException as error:
        raise _explained(what, fix, error) from None
    except requests.Timeout:
        raise CommandError(what, f"Twilio did not answer within {READ_SECONDS} s", "try again") from None
    except requests.RequestException as error:
        why = f"Twilio cannot be reached ({type(error).__name__})"
        raise CommandError(what, why, "check the network and TWILIO_API_BASE_URL") from None
    except ValueError:
        why = "the answer is not Twilio's"
        raise CommandError(what, why, "check TWILIO_API_BASE_URL and the network's proxy") from None


def _explained(what: str, fix: str, error: TwilioException) -> CommandError:
    """Twilio's client has two kinds of exception, with the same attributes but for the text."""
    status, code = getattr(error, "status", 0), getattr(error, "code", None) or 0
    text = str(getattr(error, "msg", "") or getattr(error, "detail", "") or getattr(error, "title", ""))
    if code == ACCOUNT_NOT_ACTIVE:
        return CommandError(what, "the account is not active (20005)", "see https://console.twilio.com")
    if status in {401, 403} or code == UNAUTHORIZED:
        return CommandError(what, f"Twilio refuses the credential (HTTP {status}, code {code})", fix)
    if status == 404 or code == NOT_FOUND:
        return CommandError(what, "Twilio does not know it (20404)", "check the SID or number, and the account")
    if status == 429 or code == TOO_MANY_REQUESTS:
        return CommandError(what, "Twilio asks to slow down (20429)", "wait a minute, then try again")
    if status >= 500:
        return CommandError(what, f"Twilio failed (HTTP {status})", "try again; see https://status.twilio.com")
    more = f"see https://www.twilio.com/docs/api/errors/{code}" if code else "see Twilio's console"
    return CommandError(what, " ".join(f"Twilio refuses it: {text}".split()), more)
