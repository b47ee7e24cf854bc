"""What an operator reads when a command cannot do its work."""

from __future__ import annotations


class CommandError(Exception):
    """A command stops: what is wrong, why, and what to do about it; each one line, without a secret in it."""

    def __init__(self, what: str, why: str, fix: str) -> None:
        super().__init__(f"{what}: {why}; {fix}")
        self.what, self.why, self.fix = what, why, fix
