"""Where a new edition of the agent file comes from: AWS AppConfig in the cloud, the file itself everywhere else.

A feed is asked again and again; it answers with a text when there is another one than last time. Whether the text is
any good is for the reader to say.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

POLL_SECONDS = 15
"""AppConfig's own minimum: https://docs.aws.amazon.com/appconfig/2019-10-09/APIReference/API_appconfigdata_StartConfigurationSession.html"""


class Feed(Protocol):
    """Asked by one thread at a time. `name` is for the log; `interval` are the seconds to wait between two polls."""

    name: str
    interval: float

    def poll(self) -> str | None:
        """The text, if there may be another than last time; errors of the neighbour pass through."""
        ...


class ProfileName(NamedTuple):
    """Which configuration of AppConfig is meant: each by its name or identifier."""

    application: str
    environment: str
    profile: str

    @classmethod
    def parse(cls, text: str) -> ProfileName:
        """Read `application/environment/profile`.

        Raises:
            ValueError: it has not that form.
        """
        names = text.split("/")
        if len(names) != 3 or not all(names):
            raise ValueError(f"LIVE_CONFIG is '{text}'; it must be application/environment/profile")
        return cls(*names)


class AppConfigFeed:
    """A configuration of AWS AppConfig, behind a low-level `appconfigdata` client."""

    def __init__(self, client: Any, profile: ProfileName) -> None:
        self.name = "appconfig"
        self.interval: float = POLL_SECONDS
        self._client = client
        self._profile = profile
        self._token = ""

    def poll(self) -> str | None:
        """One question. A token is good for one; whatever fails, the next poll begins a session of its own."""
        token, self._token = self._token, ""
        try:
            answer = self._ask(token or self._begin())
        except self._client.exceptions.BadRequestException:
            if not token:
                raise
            answer = self._ask(self._begin())  # the token was a day old, or its answer was lost on the way
        self._token = answer["NextPollConfigurationToken"]
        self.interval = max(1, answer["NextPollIntervalInSeconds"])
        text: bytes = answer["Configuration"].read()
        return text.decode("utf-8", "replace") if text else None

    def _ask(self, token: str) -> Any:
        return self._client.get_latest_configuration(ConfigurationToken=token)

    def _begin(self) -> str:
        answer = self._client.start_configuration_session(
            ApplicationIdentifier=self._profile.application,
            EnvironmentIdentifier=self._profile.environment,
            ConfigurationProfileIdentifier=self._profile.profile,
            RequiredMinimumPollIntervalInSeconds=POLL_SECONDS,
        )
        return str(answer["InitialConfigurationToken"])


class FileFeed:
    """The file at `path`, read again whenever it was written; `read` gives its content as an edition's text."""

    def __init__(self, path: Path, read: Callable[[Path], str]) -> None:
        self.name = path.name
        self.interval = 0.0
        self._path = path
        self._read = read
        self._seen: tuple[int, int, int] | None = None

    def poll(self) -> str | None:
        """One look at the file's date, size and identity; errors of the file system and of `read` pass through.

        What `read` refuses is not read again until it was written again.
        """
        seen = self._look()
        if seen == self._seen:
            return None
        self._seen = seen
        try:
            return self._read(self._path)
        except OSError:
            self._seen = None  # it was being replaced
            raise

    def skip(self) -> None:
        """Take what is there now for known."""
        self._seen = self._look()

    def _look(self) -> tuple[int, int, int]:
        status = self._path.stat()
        return status.st_mtime_ns, status.st_size, status.st_ino
