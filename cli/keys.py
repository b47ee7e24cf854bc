"""The keys of a stage as an operator gives them: their form, how they are asked for, and the real calls that try them.

A key is in no `repr`, no error and no line of output.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import Any

import typer

from cli.errors import CommandError
from cli.openai_api import check_session
from cli.twilio_api import asking_twilio, connect
from contracts.agent_file import AgentFile

TWILIO = ("account_sid", "auth_token", "api_key_sid", "api_key_secret")
OPENAI = ("openai_api_key",)
_FORMS = {
    "account_sid": ("AC and 32 hex digits", re.compile(r"AC[0-9a-fA-F]{32}")),
    "api_key_sid": ("SK and 32 hex digits", re.compile(r"SK[0-9a-fA-F]{32}")),
}
_ANY = ("printable ASCII without a space", re.compile(r"[!-~]{1,1000}"))


@dataclass(frozen=True, kw_only=True)
class Keys:
    """What was given; "" where nothing was. Without an API key the account's own token is the REST credential."""

    account_sid: str = ""
    auth_token: str = field(default="", repr=False)
    api_key_sid: str = ""
    api_key_secret: str = field(default="", repr=False)
    openai_api_key: str = field(default="", repr=False)

    @property
    def rest_credential(self) -> tuple[str, str]:
        """(username, password) of Twilio's REST API."""
        return (self.api_key_sid, self.api_key_secret) if self.api_key_sid else (self.account_sid, self.auth_token)

    def check(self, wanted: tuple[str, ...]) -> None:
        """Check form and completeness of the wanted fields.

        Raises:
            CommandError: names the fields, not their values.
        """
        wrong = [
            f"{name} must be {form}"
            for name in wanted
            for form, pattern in (_FORMS.get(name, _ANY),)
            if getattr(self, name) and not pattern.fullmatch(getattr(self, name))
        ]
        wrong += [f"{name} is missing" for name in _needed(wanted) if not getattr(self, name)]
        if bool(self.api_key_sid) != bool(self.api_key_secret):
            wrong.append("api_key_sid and api_key_secret belong together")
        if wrong:
            raise CommandError("keys", "; ".join(wrong), "correct it and run the command again; nothing was stored")


def _needed(wanted: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in wanted if not name.startswith("api_key"))


@contextmanager
def unseen(keys: Keys) -> Iterator[None]:
    """Lets no key through in a `CommandError`, whatever a server put into its answer."""
    hidden = [getattr(keys, name) for name in ("auth_token", "api_key_secret", "openai_api_key") if getattr(keys, name)]

    def clean(text: str) -> str:
        for key in hidden:
            text = text.replace(key, "…")
        return text

    try:
        yield
    except CommandError as error:
        raise CommandError(clean(error.what), clean(error.why), clean(error.fix)) from None


def from_json(text: str) -> Keys:
    """The keys in one JSON object.

    Raises:
        CommandError: names what is wrong, not the values.
    """
    known = [one.name for one in fields(Keys)]
    fix = f"write one JSON object with {', '.join(known)}"
    try:
        content: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise CommandError("standard input", "it is not JSON", fix) from None
    if not isinstance(content, dict):
        raise CommandError("standard input", "it is not a JSON object", fix)
    if unknown := content.keys() - set(known):
        # Not named: a key typed in the place of a field's name would be shown.
        raise CommandError("standard input", f"{len(unknown)} field(s) are not known", fix)
    content = {name: value for name, value in content.items() if value is not None}
    if odd := sorted(name for name, value in content.items() if not isinstance(value, str)):
        raise CommandError("standard input", f"{', '.join(odd)} must be text", fix)
    return Keys(**{name: value.strip() for name, value in content.items()})


def ask(wanted: tuple[str, ...], account_sid: str) -> Keys:
    """Ask a person for the keys at a terminal; `account_sid` is offered. What is secret is not shown."""
    given: dict[str, str] = {}

    def hidden(name: str, text: str, **options: Any) -> None:
        given[name] = str(typer.prompt(text, hide_input=True, err=True, **options)).strip()

    if "account_sid" in wanted:
        given["account_sid"] = str(typer.prompt("Twilio account SID", default=account_sid or None, err=True)).strip()
        hidden("auth_token", "Twilio auth token (not shown)")
        question = "Twilio API key SID (Enter: none, use the auth token)"
        given["api_key_sid"] = str(typer.prompt(question, default="", show_default=False, err=True)).strip()
        if given["api_key_sid"]:
            hidden("api_key_secret", "Twilio API key secret (not shown)")
    if "openai_api_key" in wanted:
        hidden("openai_api_key", "OpenAI API key (not shown)")
    return Keys(**given)


def try_twilio(environ: Mapping[str, str], keys: Keys, note: Callable[[str], None]) -> None:
    """Fetch the account with its token, and read one number with the API key.

    An API key may not fetch the account: https://www.twilio.com/docs/iam/api-keys.

    Raises:
        CommandError: refused, not reachable, or the account is suspended or closed.
    """
    sid = keys.account_sid
    with asking_twilio(f"Twilio account {sid}", "copy the account SID and auth token from https://console.twilio.com"):
        account = connect(environ, sid, sid, keys.auth_token).api.v2010.accounts(sid).fetch()
    if account.status != "active":
        why = f"it is {account.status}"
        raise CommandError(f"Twilio account {sid}", why, "talk to Twilio's support, or use another account")
    if account.type == "Trial":
        note("Twilio: this is a trial account; it calls verified numbers only, and plays a message first")
    if not keys.api_key_sid:
        note("Twilio: no API key given, the auth token is used for REST as well; a key of its own can be revoked alone")
        return
    key, secret = keys.rest_credential
    fix = "make a standard key at https://console.twilio.com (Account > API keys) and give its SID and secret"
    with asking_twilio(f"Twilio API key {key}", fix):
        connect(environ, sid, key, secret).incoming_phone_numbers.list(limit=1)


def try_openai(environ: Mapping[str, str], keys: Keys, agent: AgentFile) -> None:
    """Open the agent's session with the key.

    Raises:
        CommandError: see `check_session`.
    """
    check_session(environ, agent, keys.openai_api_key)
