"""Values and folders are read as they were typed, with home folders written out."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cardiouq.device import environment
from cardiouq.device.environment import config_as_text, data_roots, restart_with
from cardiouq.errors import CardiouqError
from cardiouq.structures import STRUCTURES_VARIABLE


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("acdc_root=", ""),
        ("acdc_root=/data/a=b", "/data/a=b"),
        ("acdc_root=/data/ACDC #2", "/data/ACDC #2"),
        ("acdc_root='/data/ACDC #2'", "/data/ACDC #2"),
        ("acdc_root=/data/l'été 'x'", "/data/l'été 'x'"),
    ],
)
def test_value_is_read_as_it_was_typed(typed: str, read: str) -> None:
    assert config_as_text([typed]) == {"acdc_root": read}


def test_home_in_a_data_root_is_written_out(
    tmp_path: Path, local_config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CARDIOUQ_MNMS_ROOT", "~/M&Ms")
    monkeypatch.delenv("CARDIOUQ_UKBB_ROOT", raising=False)
    roots = data_roots(local_config | {"acdc_root": "~/data/acdc"})
    assert roots["acdc_root"] == str(tmp_path / "data" / "acdc")
    assert roots["mnms_root"] == str(tmp_path / "M&Ms")
    assert roots["ukbb_root"] == ""
    assert data_roots(local_config | {"acdc_root": "./~"})["acdc_root"] == "~"
    with pytest.raises(CardiouqError, match="~no-such-user/acdc: no such home folder"):
        data_roots(local_config | {"acdc_root": "~no-such-user/acdc"})


@pytest.mark.parametrize("names", [["MYO, septal", "LV"], ['"a"', "l'été", "b c"], ["liver"]])
def test_program_is_started_once_more_for_other_structures(
    names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []
    monkeypatch.setattr(environment.os, "execv", lambda *given: started.append(given))
    monkeypatch.setenv(STRUCTURES_VARIABLE, "")
    restart_with(names)
    assert len(started) == 1
    code = "from cardiouq.structures import STRUCTURES; print(ascii(STRUCTURES))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert found.stdout.decode().strip() == ascii(tuple(names))
    monkeypatch.setattr(environment, "STRUCTURES", tuple(names))
    restart_with(names)
    assert len(started) == 1
