"""The same seed gives the same numbers, and a process that compiles nothing imports no compiler."""

import subprocess
import sys

import pytest

PROCESS = """
import sys
import torch
{before}
from cardiouq.device.choose import make_deterministic

loaded = set(sys.modules)
make_deterministic()
assert torch.are_deterministic_algorithms_enabled()
assert not torch.is_deterministic_algorithms_warn_only_enabled()
assert set(sys.modules) == loaded

import torch._inductor.config

assert torch._inductor.config.deterministic
"""


@pytest.mark.parametrize("before", ["", "import torch._inductor.config"])
def test_compiler_is_deterministic_whenever_it_is_imported(before: str) -> None:
    code = PROCESS.format(before=before)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
