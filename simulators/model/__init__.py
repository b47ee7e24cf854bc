"""The stand-in for OpenAI's GA Realtime API: strict about what it is sent, honest about what it hears.

model = Model(lambda: ScriptedMind([Turn([Say("Hello.")])]), api_key="sk-test")
await model.start()
...  # connect to f"{model.url}?model=gpt-realtime-2.1"
await model.stop()
"""

from simulators.model.faults import Faults
from simulators.model.minds import (
    Call,
    Close,
    Error,
    Fail,
    Mind,
    Occasion,
    Pause,
    Prompt,
    Say,
    ScriptedMind,
    Stall,
    Stop,
    Turn,
)
from simulators.model.model import Model
from simulators.model.server import Record
from simulators.model.session import Terms

__all__ = [
    "Call",
    "Close",
    "Error",
    "Fail",
    "Faults",
    "Mind",
    "Model",
    "Occasion",
    "Pause",
    "Prompt",
    "Record",
    "Say",
    "ScriptedMind",
    "Stall",
    "Stop",
    "Terms",
    "Turn",
]
