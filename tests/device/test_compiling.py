"""Long trainings are compiled where that can be done, and where it cannot are trained without."""

import shutil
import sysconfig
from pathlib import Path
from typing import Any

import pytest
import torch

from cardiouq.device import choose
from cardiouq.device.choose import STEPS_TO_COMPILE, pays_to_compile
from cardiouq.device.environment import COMPILE_VARIABLE

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def able(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A GPU with Triton, a compiler and Python's headers, in the folder that is returned."""
    monkeypatch.delenv(COMPILE_VARIABLE, raising=False)
    monkeypatch.delenv("CC", raising=False)
    (tmp_path / "Python.h").touch()
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    monkeypatch.setattr(choose, "find_spec", lambda name: name)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 0))
    return tmp_path


def test_a_gpu_compiles_long_trainings(able: Path) -> None:
    assert pays_to_compile(STEPS_TO_COMPILE, GPU)
    assert not pays_to_compile(STEPS_TO_COMPILE - 1, GPU)


def test_a_cpu_compiles_none_unless_it_is_told_to(
    able: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not pays_to_compile(STEPS_TO_COMPILE, CPU)
    monkeypatch.setenv(COMPILE_VARIABLE, "always")
    assert pays_to_compile(1, CPU)


@pytest.mark.parametrize(
    ("module", "name", "lacking"),
    [
        (choose, "find_spec", lambda name: None),
        (shutil, "which", lambda name: None),
        (torch.cuda, "get_device_capability", lambda device: (6, 1)),
        (sysconfig, "get_path", lambda name: "/nowhere"),
    ],
    ids=["Triton", "compiler", "capability", "headers"],
)
def test_what_cannot_be_compiled_is_trained_without(
    able: Path, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, lacking: Any
) -> None:
    monkeypatch.setattr(module, name, lacking)
    assert not pays_to_compile(STEPS_TO_COMPILE, GPU)
    monkeypatch.setenv(COMPILE_VARIABLE, "always")
    assert pays_to_compile(STEPS_TO_COMPILE, GPU)


@pytest.mark.parametrize(
    ("there", "chosen", "compiles"),
    [
        ("clang", None, True),
        ("gcc", "clang", False),
        ("clang", "clang", True),
    ],
)
def test_triton_takes_the_compiler_that_is_chosen_and_no_other(
    able: Path, monkeypatch: pytest.MonkeyPatch, there: str, chosen: str | None, compiles: bool
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: name if name == there else None)
    if chosen:
        monkeypatch.setenv("CC", chosen)
    assert pays_to_compile(STEPS_TO_COMPILE, GPU) == compiles
