"""The agent file's schema in the words that AppConfig's validator understands."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from contracts import agent_file

VALIDATOR_CHARS = 32_768  # https://docs.aws.amazon.com/appconfig/2019-10-09/APIReference/API_Validator.html
_TOLD_PEOPLE_ONLY = frozenset({"title", "description", "default", "discriminator", "$schema"})


def draft4(schema: Any) -> Any:
    """A schema of today (2020-12) in the words of draft 4, the only ones that AppConfig understands.

    https://docs.aws.amazon.com/appconfig/latest/userguide/appconfig-creating-configuration-and-profile-validators.html
    """
    if isinstance(schema, list):
        return [draft4(one) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    made: dict[str, Any] = {}
    for word, value in schema.items():
        if word not in _TOLD_PEOPLE_ONLY:
            made |= _translated(word, value)
    if "patternProperties" in made:  # else a key of another form would pass, whatever it holds
        made.setdefault("additionalProperties", False)
    return made


def _translated(word: str, value: Any) -> dict[str, Any]:
    match word:
        case "$defs":
            return {"definitions": _named(value)}
        case "properties" | "patternProperties":
            return {word: _named(value)}
        case "$ref":
            return {word: str(value).replace("#/$defs/", "#/definitions/")}
        case "const":
            return {"enum": [value]}
        case "exclusiveMinimum" | "exclusiveMaximum":
            return {word.replace("exclusiveM", "m"): value, word: True}
        case _:
            return {word: draft4(value)}


def _named(schemas: Mapping[str, Any]) -> dict[str, Any]:
    return {name: draft4(one) for name, one in schemas.items()}


def validator() -> str:
    """The agent file's schema as AppConfig's validator."""
    schema = {"$schema": "http://json-schema.org/draft-04/schema#", **draft4(agent_file.schema())}
    text = json.dumps(schema, separators=(",", ":"))
    assert len(text) <= VALIDATOR_CHARS, "AppConfig takes no longer validator"
    return text
