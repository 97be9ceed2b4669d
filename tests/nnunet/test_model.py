"""A model's folder is read without running what it holds, and its weights give nnU-Net's logits."""

import logging
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from cardiouq.errors import CardiouqError
from cardiouq.nnunet.model import read_trained
from tests.nnunet.trained import STRUCTURES, Change, checkpoint, network, write

CPU = torch.device("cpu")


def last_of(folder: Path) -> Path:
    return folder / "fold_1" / "checkpoint_final.pth"


def refusal_of(folder: Path, **arguments: Any) -> str:
    """What is said of a model, in one line."""
    with pytest.raises(CardiouqError) as error:
        read_trained(folder, **arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_members_give_the_logits_of_nnunet_s_network(tmp_path: Path) -> None:
    model = read_trained(write(tmp_path))
    images = torch.randn(2, 1, 16, 24, generator=torch.Generator().manual_seed(0))
    assert [member.fold for member in model.members] == ["0", "1"]
    with torch.inference_mode():
        for seed, member in enumerate(model.members):
            expected = network(seed)(images)
            assert expected.std() > 0.3
            torch.testing.assert_close(
                model.network(member, CPU)(images), expected, rtol=1e-4, atol=1e-4
            )


def test_a_model_says_what_it_segments_and_how_nnunet_mirrors(tmp_path: Path) -> None:
    model = read_trained(write(tmp_path))
    assert (model.structures, model.mirroring) == (STRUCTURES, (0, 1))
    assert {member.epoch for member in model.members} == {20}


@pytest.mark.parametrize("axes", [None, ()])
def test_a_model_that_may_not_be_mirrored_is_not(tmp_path: Path, axes: Any) -> None:
    folder = write(
        tmp_path, folds=[0], of_last=lambda c: c.update(inference_allowed_mirroring_axes=axes)
    )
    assert read_trained(folder).mirroring == ()


def test_any_checkpoint_of_any_fold_is_a_member(tmp_path: Path) -> None:
    folder = write(tmp_path, folds=(0, 1, 10, "all"))
    for fold in (1, 10):
        torch.save(checkpoint(7), folder / f"fold_{fold}" / "checkpoint_0500.pth")
    assert [m.fold for m in read_trained(folder).members] == ["0", "1", "10"]
    chosen = read_trained(folder, folds=["10", "1"], checkpoints=["final", "0500"])
    assert [(m.fold, m.checkpoint) for m in chosen.members] == [
        ("10", "final"),
        ("10", "0500"),
        ("1", "final"),
        ("1", "0500"),
    ]
    for fold in (0, 1, 10):
        shutil.rmtree(folder / f"fold_{fold}")
    assert [m.fold for m in read_trained(folder).members] == ["all"]


def test_a_missing_fold_or_checkpoint_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    folder = write(tmp_path)
    there = "the folder has fold_0/checkpoint_final.pth, fold_1/checkpoint_final.pth"
    assert there in refusal_of(folder, folds=["2"])
    said = refusal_of(folder, checkpoints=["best"])
    assert said.startswith(f"{folder}/fold_0/checkpoint_best.pth: missing; {there}")
    last_of(folder).unlink()  # of a training that has not finished
    assert refusal_of(folder).startswith(f"{last_of(folder)}: missing; the folder has fold_0/")
    for fold in (0, 1):
        shutil.rmtree(folder / f"fold_{fold}")
    assert f"{folder}: has no fold_0, fold_1" in refusal_of(folder)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1000])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def flip_a_weight(file: Path) -> None:
    content = bytearray(file.read_bytes())
    weight = checkpoint(1)["network_weights"]["encoder.stages.2.0.convs.1.conv.weight"]
    place = content.index(weight.numpy().tobytes())
    content[place + 2] ^= 1
    file.write_bytes(content)


def text(file: Path) -> None:
    file.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")


@pytest.mark.parametrize("harm", [cut, empty, flip_a_weight, text])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    folder = write(tmp_path)
    read_trained(folder)
    harm(last_of(folder))
    said = refusal_of(folder)
    assert said.startswith(f"{last_of(folder)}: ")
    assert said.endswith("; fetch the file again")


class Harmful:
    """What a pickle runs when it is read."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.mark}",)


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    folder = write(tmp_path / "model", of_last=lambda c: c.update(logging=Harmful(mark)))
    assert f"{last_of(folder)}: asks for posix.system when it is read" in refusal_of(folder)
    assert not mark.exists()
    torch.load(last_of(folder), weights_only=False)
    assert mark.exists()


def test_a_checkpoint_of_before_zip_files_that_would_run_code_is_refused(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    folder = write(tmp_path / "model")
    last_of(folder).write_bytes(pickle.dumps(Harmful(mark)))
    assert f"{last_of(folder)}: cannot be read as what PyTorch saves" in refusal_of(folder)
    assert not mark.exists()


def test_a_checkpoint_with_numbers_of_numpy_1_is_read(tmp_path: Path) -> None:
    folder = write(tmp_path)
    today, aged = last_of(folder), tmp_path / "aged.pth"
    with zipfile.ZipFile(today) as old, zipfile.ZipFile(aged, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith("data.pkl"):
                assert b"cnumpy._core.multiarray\n" in content
                content = content.replace(b"numpy._core.", b"numpy.core.")
            new.writestr(name, content)
    aged.replace(today)
    assert len(read_trained(folder).members) == 2


def with_norms_that_remember(saved: Any) -> None:
    """As of `nnUNetTrainerBN`."""
    saved["network_weights"]["encoder.stages.0.0.convs.0.norm.running_mean"] = torch.zeros(4)


def with_wider_stages(saved: Any) -> None:
    name = "decoder.transpconvs.0.weight"
    saved["network_weights"][name] = torch.zeros(16, 1, 2, 2)


def with_more_classes(saved: Any) -> None:
    saved["network_weights"]["decoder.seg_layers.1.bias"] = torch.zeros(4)


def without_a_stage(saved: Any) -> None:
    for name in [name for name in saved["network_weights"] if "stages.2" in name]:
        del saved["network_weights"][name]


@pytest.mark.parametrize(
    "change",
    [with_norms_that_remember, with_wider_stages, with_more_classes, without_a_stage],
)
def test_another_network_s_weights_are_refused(tmp_path: Path, change: Change) -> None:
    folder = write(tmp_path, of_last=change)
    said = refusal_of(folder)
    assert f"{last_of(folder)}: the weights of nnUNetTrainer are not those of the network" in said


def test_weights_of_a_failed_training_are_refused(tmp_path: Path) -> None:
    def fail(saved: Any) -> None:
        saved["network_weights"]["decoder.seg_layers.1.bias"][0] = torch.nan

    said = refusal_of(write(tmp_path, of_last=fail))
    assert "decoder.seg_layers.1.bias holds numbers that are not finite" in said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda saved: saved.pop("network_weights"), "KeyError('network_weights')"),
        (lambda saved: saved.update(init_args=None), "is no checkpoint of nnU-Net v2's trainer"),
        (lambda saved: saved.update(network_weights=[1]), "is no checkpoint of nnU-Net v2's"),
        (
            lambda saved: saved.update(inference_allowed_mirroring_axes=(0, 2)),
            "mirrors axes (0, 2)",
        ),
        (lambda saved: saved.update(trainer_name="Mine"), "its trainer is Mine, and nnUNetTrainer"),
        (lambda saved: saved["init_args"].update(configuration="3d_fullres"), "its configuration"),
    ],
)
def test_checkpoints_of_no_model_or_of_several_are_refused(
    tmp_path: Path, change: Change, said: str
) -> None:
    folder = write(tmp_path, of_last=change)
    found = refusal_of(folder)
    assert found.startswith(f"{last_of(folder)}: ")
    assert said in found


def test_a_3d_model_is_refused(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        folds=[0],
        of_last=lambda saved: saved["init_args"].update(configuration="3d_fullres"),
    )
    assert "configuration '3d_fullres': its patches [20, 256, 224] have 3 dim" in refusal_of(folder)


def test_another_trainer_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def rename(saved: Any) -> None:
        saved["trainer_name"] = "nnUNetTrainer_250epochs"

    with caplog.at_level(logging.WARNING):
        read_trained(write(tmp_path / "stock"))
        assert not caplog.messages
        read_trained(write(tmp_path / "other", folds=[0], of_last=rename))
    [message] = caplog.messages
    assert "was trained by nnUNetTrainer_250epochs" in message
