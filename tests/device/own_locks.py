"""Locks of GPUs that are a test's own."""

from pathlib import Path

import pytest

from cardiouq.device import gpus


def pretend(folder: Path, monkeypatch: pytest.MonkeyPatch, waits: type[BaseException]) -> None:
    """Have locks in a folder, whatever GPUs this machine has; waiting for one is an exception."""

    def wait(_: float) -> None:
        raise waits

    monkeypatch.setattr(gpus, "LOCKS", folder)
    monkeypatch.setattr(gpus, "_listing", lambda: "")
    monkeypatch.setattr(gpus.time, "sleep", wait)
