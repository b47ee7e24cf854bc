"""Which tests one worker runs together: those of a file; the infrastructure's, which share its templates; whole calls.

Whole calls take real time and are judged by it: one worker plays them, while the other has the core beside it.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from botocore import loaders
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]  # it has no types

loaders.create_loader = cache(loaders.create_loader)  # else each session of boto3 reads megabytes of JSON anew
settings.register_profile("any machine", deadline=None)  # how fast it is, no test depends on
settings.load_profile("any machine")
_TOGETHER = ("tests/calls/", "tests/infra/")
_MANY_FILES = ("tests/functions/", "tests/fuzz/", "tests/sabotage/", "tests/simulators/", "tests/test_")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.nodeid.startswith(_MANY_FILES))  # so that both workers end at the same time


class _Sharing(LoadFileScheduling):  # type: ignore[misc]  # it has no types
    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return next((folder for folder in _TOGETHER if file.startswith(folder)), file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    return _Sharing(config, log)
