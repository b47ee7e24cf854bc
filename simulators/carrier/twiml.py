"""What TwiML may be: verbs, their attributes, what may stand inside what. Pure.

https://www.twilio.com/docs/voice/twiml. A document that is not XML or not a `<Response>`, and any verb, nesting or
value that could not be carried out, is refused; an attribute nobody knows is a warning, as Twilio's 12200 is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin, urlsplit
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Iterator

# https://www.twilio.com/docs/api/errors/11750: a response body above 64 KB is too large.
MAX_BYTES: Final = 64 * 1024


class Malformed(Exception):  # noqa: N818  # named after what the document is
    """A document Twilio would not carry out; `code` is what its debugger would show."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


@dataclass(frozen=True, slots=True)
class Element:
    """A verb or noun: its name, attributes, own text and children."""

    name: str
    attributes: dict[str, str]
    text: str
    children: tuple[Element, ...]

    def get(self, attribute: str, default: str = "") -> str:
        """An attribute's value."""
        return self.attributes.get(attribute, default)

    def number(self, attribute: str, default: float) -> float:
        """An attribute's value as a number; parsing has made sure that it is one."""
        return float(self.attributes.get(attribute, default))

    def flag(self, attribute: str, *, default: bool = False) -> bool:
        """An attribute's value as a boolean."""
        return self.attributes.get(attribute, str(default)).lower() == "true"

    def walk(self) -> Iterator[Element]:
        """This element and all below it."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed document: its verbs, where it came from ("" for inline TwiML), and warnings for the debugger."""

    verbs: tuple[Element, ...]
    url: str
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Rule:
    attributes: frozenset[str]
    children: frozenset[str] = frozenset()
    text: bool = False


def _rule(attributes: str = "", children: str = "", *, text: bool = False) -> _Rule:
    return _Rule(frozenset(attributes.split()), frozenset(children.split()), text)


_CALLBACK: Final = "statusCallback statusCallbackMethod statusCallbackEvent"
_MACHINE: Final = (
    "machineDetection machineDetectionTimeout machineDetectionSpeechThreshold machineDetectionSpeechEndThreshold "
    "machineDetectionSilenceTimeout amdStatusCallback amdStatusCallbackMethod"
)
_RECORDING: Final = "recordingStatusCallback recordingStatusCallbackMethod recordingStatusCallbackEvent trim"
_SSML: Final = "break emphasis lang p phoneme prosody s say-as sub w"
_VERBS: Final = "Say Play Pause Gather Record Dial Connect Enqueue Leave Redirect Hangup Reject"
_RULES: Final = {
    "Response": _rule("", _VERBS),
    "Say": _rule("voice language loop", _SSML, text=True),
    "Play": _rule("loop digits", text=True),
    "Pause": _rule("length"),
    "Gather": _rule(
        "input action method timeout speechTimeout maxSpeechTime profanityFilter finishOnKey numDigits language hints "
        "partialResultCallback partialResultCallbackMethod bargeIn debug actionOnEmptyResult speechModel enhanced",
        "Say Play Pause",
    ),
    "Record": _rule(
        "action method timeout finishOnKey maxLength playBeep transcribe transcribeCallback recordingConfigurationId "
        + _RECORDING
    ),
    "Dial": _rule(
        "action method timeout hangupOnStar timeLimit callerId record answerOnBridge ringTone recordingTrack "
        f"sequential referUrl referMethod events passports callReason recordingConfigurationId {_RECORDING}",
        "Number Client Sip Queue Conference",
        text=True,
    ),
    "Number": _rule(f"sendDigits url method byoc {_CALLBACK} {_MACHINE}", text=True),
    "Client": _rule(f"url method {_CALLBACK}", "Identity Parameter", text=True),
    "Sip": _rule(f"username password url method {_CALLBACK} {_MACHINE}", text=True),
    "Queue": _rule("url method reservationSid postWorkActivitySid", text=True),
    "Conference": _rule(
        "muted beep startConferenceOnEnter endConferenceOnExit waitUrl waitMethod maxParticipants record region coach "
        f"recordingConfigurationId eventCallbackUrl jitterBufferSize participantLabel {_CALLBACK} {_RECORDING}",
        text=True,
    ),
    "Connect": _rule("action method", "Stream"),
    "Stream": _rule(
        "name connectorName url track statusCallback statusCallbackMethod audioFormat sampleRate", "Parameter"
    ),
    "Parameter": _rule("name value"),
    "Identity": _rule(text=True),
    "Enqueue": _rule("action method maxQueueSize waitUrl waitUrlMethod workflowSid", "Task", text=True),
    "Leave": _rule(),
    "Task": _rule("priority timeout", text=True),
    "Redirect": _rule("method", text=True),
    "Hangup": _rule("", "Parameter"),
    "Reject": _rule("reason", "Parameter"),
} | {name: _rule("time strength level xml:lang alphabet ph volume rate pitch interpret-as format alias role", _SSML,
                 text=True) for name in _SSML.split()}  # fmt: skip

# attribute -> (least, most): values outside are refused with the code of the verb, or 12200.
_RANGES: Final = {
    ("Dial", "timeout"): (13212, 5, 600),
    ("Dial", "timeLimit"): (13216, 1, 86400),
    ("Pause", "length"): (13910, 0, 14400),
    ("Gather", "timeout"): (13313, 0, 600),
    ("Gather", "numDigits"): (13314, 1, 1000),
    ("Record", "timeout"): (13612, 0, 14400),
    ("Record", "maxLength"): (13613, 1, 14400),
}
_WORDS: Final = {
    "method": {"GET", "POST"},
    "statusCallbackMethod": {"GET", "POST"},
    "answerOnBridge": {"true", "false"},
    "hangupOnStar": {"true", "false"},
    "sequential": {"true", "false"},
    "reason": {"busy", "rejected"},
}
_CALL_EVENTS: Final = {"initiated", "ringing", "answered", "completed"}
URL_ATTRIBUTES: Final = ("action", "url", "waitUrl", "statusCallback", "recordingStatusCallback", "amdStatusCallback")
_NUMBER: Final = re.compile(r"\+?[1-9][0-9() .-]{6,20}")


def parse(body: str | bytes, *, url: str = "") -> Document:
    """A document from its text; `url` is where it was fetched, "" for TwiML given inline by REST.

    Raises:
        Malformed: with Twilio's code: 11750 too large, 12100 not XML, 12102 no `<Response>`, 15004 a relative URL
            in inline TwiML, 12200 and 13xxx for verbs, nesting and values.
    """
    body = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
    if len(body) > MAX_BYTES:
        raise Malformed(11750, f"a document of {len(body)} bytes")
    if b"<!DOCTYPE" in body:
        raise Malformed(12100, "a document type declaration")
    try:
        root = ET.fromstring(body)  # noqa: S314  # entities need a document type, refused above
    except (ET.ParseError, ValueError, LookupError) as error:
        raise Malformed(12100, f"not XML: {error}") from error
    if root.tag != "Response":
        raise Malformed(12102, f"the root is <{root.tag}>, not <Response>")
    warnings: list[str] = []
    document = Document(_element(root, warnings).children, url, tuple(warnings))
    if not url:
        _refuse_relative_urls(document)
    return document


def resolve(base: str, url: str) -> str:
    """A URL as it stands in a document fetched from `base`.

    Raises:
        Malformed: 11100, it is none.
    """
    try:
        return urljoin(base, url)
    except ValueError as error:
        raise Malformed(11100, f"{url!r} is not a URL: {error}") from error


def _element(node: ET.Element, warnings: list[str]) -> Element:
    rule = _RULES[node.tag]
    warnings += [f"<{node.tag}> has no attribute {name}" for name in node.attrib if name not in rule.attributes]
    attributes = {name: value for name, value in node.attrib.items() if name in rule.attributes}
    for name, value in attributes.items():
        _check_value(node.tag, name, value)
    children = []
    for child in node:
        if child.tag not in rule.children:
            code = {"Dial": 13215, "Gather": 13320}.get(node.tag, 12200)
            raise Malformed(code, f"<{child.tag}> may not stand in <{node.tag}>")
        children.append(_element(child, warnings))
        if (child.tail or "").strip() and not rule.text:
            raise Malformed(12200, f"text in <{node.tag}>")
    text = (node.text or "").strip()
    if text and not rule.text:
        raise Malformed(12200, f"text in <{node.tag}>")
    if rule.text and node.tag in _SSML_HOLDERS:
        text = " ".join("".join(node.itertext()).split())
    element = Element(node.tag, attributes, text, tuple(children))
    _check_element(element)
    return element


_SSML_HOLDERS: Final = {"Say"}


def _check_value(verb: str, name: str, value: str) -> None:
    if (verb, name) in _RANGES:
        code, least, most = _RANGES[verb, name]
        if not re.fullmatch(r"[0-9]{1,6}", value) or not least <= int(value) <= most:
            raise Malformed(code, f"<{verb} {name}={value!r}>: not a whole number from {least} to {most}")
    words = _WORDS.get(name)
    if words is not None and value not in words:
        raise Malformed(12200, f"<{verb} {name}={value!r}>: not one of {sorted(words)}")
    if name == "statusCallbackEvent" and verb in {"Number", "Client", "Sip"} and set(value.split()) - _CALL_EVENTS:
        raise Malformed(12200, f"<{verb} {name}={value!r}>: not among {sorted(_CALL_EVENTS)}")


def _check_element(element: Element) -> None:
    match element.name:
        case "Dial" if not element.text and not element.children:
            raise Malformed(12200, "<Dial> without anybody to dial")
        case "Dial" if len(element.children) > 10:
            raise Malformed(12200, "<Dial> with more than ten nouns")
        case "Number" if not _NUMBER.fullmatch(element.text):
            raise Malformed(13224, f"{element.text!r} is not a telephone number")
        case "Redirect" if not element.text:
            raise Malformed(11100, "<Redirect> without a URL")
        case "Connect" if len(element.children) != 1:
            raise Malformed(12200, "<Connect> with not exactly one noun")
        case "Parameter" if len(element.get("name") + element.get("value")) >= 500:
            # https://www.twilio.com/docs/voice/twiml/stream: name and value together under 500 characters.
            raise Malformed(12200, "<Parameter> of 500 characters or more")
        case _:
            pass


def _refuse_relative_urls(document: Document) -> None:
    for verb in document.verbs:
        for element in verb.walk():
            urls = [element.get(name) for name in URL_ATTRIBUTES if element.get(name)]
            urls += [element.text] if element.name in {"Redirect", "Play"} and element.text else []
            for url in urls:
                if not urlsplit(url).scheme:
                    raise Malformed(15004, f"the relative URL {url!r} in <{element.name}> of inline TwiML")
