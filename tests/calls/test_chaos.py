"""The short campaign: a model and a relay that die during calls."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.calls.programs import program


@pytest.mark.timeout(120)
async def test_the_quick_campaign_is_met(tmp_path: Path) -> None:
    async with program("simulators", "chaos", "--quick", errors=tmp_path / "stderr") as chaos:
        status, printed = await chaos.end()
        assert "Traceback" not in chaos.stderr, chaos.stderr
    assert status == 0, "\n".join(printed)
    assert [line.split()[0] for line in printed[:-1]] == ["R3", "R15"]
    assert all(line.endswith(": met") for line in printed[:-1])
