"""Whether the PyTorch that is installed can use a GPU is known before anything is computed."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from cardiouq.device import environment, gpus
from cardiouq.device.choose import choose_device
from cardiouq.device.environment import check_device, gpus_per_job
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


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine whose driver has GPU 0, and the folder of the driver's files."""
    (tmp_path / "nvidia0").touch()
    monkeypatch.setattr(gpus, "DEVICES", tmp_path)
    monkeypatch.setattr(gpus, "_listing", lambda: "GPU 0: NVIDIA T4 (UUID: GPU-5d5ba0d6)")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    gpus_per_job.cache_clear()
    yield tmp_path
    gpus_per_job.cache_clear()


@pytest.mark.parametrize(
    ("cuda", "visible", "expected"),
    [("13.0", None, 1), ("13.0", "0", 1), (None, None, 0), ("13.0", "", 0), ("13.0", "-1", 0)],
)
def test_jobs_ask_for_a_gpu_that_they_can_use(
    install: Install,
    driver: Path,
    cuda: str | None,
    visible: str | None,
    expected: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else they would compute on the CPU, one after the other."""
    install("2.13.0", cuda)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpus_per_job("auto") == expected
    assert (gpus_per_job("cpu"), gpus_per_job("cuda")) == (0, 1)


def test_machine_without_a_driver_has_no_gpu_to_ask_for(install: Install, driver: Path) -> None:
    install("2.13.0", "13.0")
    (driver / "nvidia0").unlink()
    assert gpus_per_job("auto") == 0


def test_pytorch_of_condas_jobs_is_another(install: Install, driver: Path) -> None:
    install("2.13.0+cpu")
    assert gpus_per_job("auto", in_conda=True) == 1


@pytest.mark.parametrize(("visible", "warnings"), [("0", 1), ("", 0)])
def test_gpu_that_auto_leaves_aside_is_told(
    driver: Path,
    visible: str,
    warnings: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: False)
    monkeypatch.setenv("CARDIOUQ_DEVICE", "auto")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert choose_device() == torch.device("cpu")
    told = [message.partition(",")[0] for message in caplog.messages]
    assert told == ["on the CPU"] * warnings
