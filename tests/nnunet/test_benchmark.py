"""The benchmark beside nnU-Net's own command says what it needs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import ROOT


@pytest.mark.parametrize("missing", ["CARDIOUQ_NNUNET_ROOT", "CARDIOUQ_ACDC_ROOT"])
def test_missing_folder_is_one_sentence(tmp_path: Path, missing: str) -> None:
    (tmp_path / "Dataset027_ACDC/nnUNetTrainer__nnUNetPlans__2d").mkdir(parents=True)
    given = os.environ | {"CARDIOUQ_NNUNET_ROOT": str(tmp_path), "CARDIOUQ_ACDC_ROOT": "nowhere"}
    command = [sys.executable, str(ROOT / "benchmarks/applying.py")]
    environment = {key: value for key, value in given.items() if key != missing}
    done = subprocess.run(command, capture_output=True, encoding="utf-8", env=environment)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"ERROR: {missing} is not set; expected the folder that holds ")
    assert "Give it: make bench-apply NNUNET=FOLDER" in done.stderr
    assert f"{missing}=FOLDER" in done.stderr
