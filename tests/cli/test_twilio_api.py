from __future__ import annotations

import pytest
import requests
from twilio.base.exceptions import TwilioRestException, TwilioServiceException

from cli.errors import CommandError
from cli.twilio_api import HttpClient, asking_twilio, connect


@pytest.mark.parametrize("host", ["api", "serverless", "serverless-upload", "monitor", "voice"])
def test_every_sub_domain_is_moved_and_the_path_stays(host: str) -> None:
    moved = HttpClient("http://127.0.0.1:9").moved(f"https://{host}.twilio.com/v1/A?b=c%20d")
    assert moved == "http://127.0.0.1:9/v1/A?b=c%20d"
    same = f"https://{host}.twilio.com/v1/A"
    assert HttpClient(None).moved(same) == same


def test_the_operators_region_does_not_send_keys_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWILIO_REGION", "ie1")
    monkeypatch.setenv("TWILIO_EDGE", "dublin")
    made = connect({}, "AC1", "SK1", "secret")
    assert (made.region, made.edge, made.username, made.account_sid) == (None, None, "SK1", "AC1")


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (TwilioRestException(401, "/", "Authenticate", 20003), "refuses the credential"),
        (TwilioRestException(403, "/", "Forbidden", 70051), "refuses the credential"),
        (TwilioRestException(401, "/", "Account not active", 20005), "not active"),
        (TwilioRestException(404, "/", "not found", 20404), "does not know it"),
        (TwilioRestException(429, "/", "", 20429), "slow down"),
        (TwilioRestException(503, "/", "", None), "Twilio failed"),
        (TwilioRestException(400, "/", "Url is not valid", 21402), "Url is not valid"),
        (TwilioServiceException("t", "A title", 400, 1, "A detail"), "A detail"),
        (requests.ConnectTimeout(), "did not answer"),
        (requests.ReadTimeout(), "did not answer"),
        (requests.ConnectionError(), "cannot be reached"),
        (ValueError("not JSON"), "is not Twilio's"),
    ],
)
def test_what_twilio_refuses_is_explained(error: Exception, why: str) -> None:
    with pytest.raises(CommandError) as raised, asking_twilio("it"):
        raise error
    assert why in raised.value.why
    assert raised.value.what == "it"
    assert raised.value.fix
