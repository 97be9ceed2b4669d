"""Whether the PyTorch that is installed can use a GPU is known before anything is computed."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from cardiouq.device import environment
from cardiouq.device.choose import choose_device
from cardiouq.device.environment import check_device
from cardiouq.errors import CardiouqError

VERSION = """\
from typing import Optional

__all__ = ['__version__', 'debug', 'cuda', 'git_version', 'hip']
__version__ = '{version}'
debug = False
cuda: Optional[str] = {cuda!r}
git_version = '0123456789abcdef'
hip: Optional[str] = {hip!r}
"""
Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs a PyTorch, so far as its versions go."""

    def installed(version: str, cuda: str | None = None, hip: str | None = None) -> Path:
        text = VERSION.format(version=version, cuda=cuda, hip=hip)
        (tmp_path / "version.py").write_text(text, encoding="utf-8")
        found = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
        monkeypatch.setattr(environment, "find_spec", lambda name: found)
        return tmp_path

    return installed


@pytest.mark.parametrize("version", ["2.13.0+cpu", "2.6.0", "2.9.1+xpu", "2.11.0a0+git0123456"])
def test_gpu_that_pytorch_is_not_built_for_is_one_clear_error(
    install: Install, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = install(version)
    told = f"device: cuda, but PyTorch {version} in {folder} is built without CUDA; install a build"
    with pytest.raises(CardiouqError) as caught:
        check_device("cuda")
    assert str(caught.value).startswith(told)
    assert str(caught.value).endswith("or run with --config device=cpu")
    monkeypatch.setenv("CARDIOUQ_DEVICE", "cuda")
    with pytest.raises(CardiouqError, match="is built without CUDA"):
        choose_device()


@pytest.mark.parametrize(
    ("version", "cuda", "hip"),
    [
        ("2.13.0+cu130", "13.0", None),
        ("2.13.0", "12.6", None),
        ("2.11.0+rocm6.4", None, "6.4.43482"),
    ],
)
def test_build_for_a_gpu_may_use_it(install: Install, version: str, cuda: str, hip: str) -> None:
    install(version, cuda, hip)
    check_device("cuda")


@pytest.mark.parametrize("device", ["cpu", "auto"])
def test_other_devices_need_no_cuda(install: Install, device: str) -> None:
    install("2.13.0+cpu")
    check_device(device)


def test_environment_without_pytorch_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Snakemake's own, where jobs have others."""
    monkeypatch.setattr(environment, "find_spec", lambda name: None)
    check_device("cuda")
