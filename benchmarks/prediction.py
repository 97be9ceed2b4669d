"""Prediction of a volume with thirty checkpoints of one run: `predict` beside the plain loop.

The plain loop is what a script does: build, load, predict and keep each network's probabilities,
then stack them. Both write the same volumes. The functions are contestants of `rounds.py`.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.inferers import sliding_window_inference
from monai.networks.nets import DynUNet
from numpy.typing import NDArray
from safetensors.torch import load_file
from sizes import PLANS, case_names, run_of
from torch.nn import functional
from torch.special import entr

from cardiouq.files.run_files import checkpoint_file
from cardiouq.methods.checkpoint_ensemble import Method
from cardiouq.prediction.predict import predict
from cardiouq.prediction.predictor import Predictor
from cardiouq.prediction.runs import HeldOut, RunOnDisk
from cardiouq.prediction.sampler import RunSampler, images_in
from cardiouq.recipes.network import TILES_AT_ONCE
from cardiouq.structures import N_CLASSES
from cardiouq.training.run import Run
from cardiouq.training.train import train

CHECKPOINTS = 30
OVERLAP = 0.5
CPU = torch.device("cpu")
CASE = case_names()[0]


def ours(size: str, folder: str) -> Callable[[], None]:
    """The job of Ckpt. Ens. (Single), which has a checkpoint an epoch here."""
    run = run_of_checkpoints(size, Path(folder))
    predictor = Predictor(run.plan, OVERLAP, CPU)
    on_disk = RunOnDisk(
        run_folder(folder),
        run.recipe,
        run.member,
        run.plan,
        run.fingerprint,
        CPU,
        HeldOut((), Path(folder), predictor),
        lambda: "",
    )
    method = Method(cycles=1, checkpoints=CHECKPOINTS, step=1)
    return lambda: predict(
        RunSampler(method, [on_disk], run.schedule, predictor, images_in([Path(folder)])),
        test_sets={"test": [case(size, folder)]},
        seed=2022,
        output=Path(folder).parent / "ours",
    )


def plain_loop(size: str, folder: str) -> Callable[[], None]:
    """As a script would, with MONAI alone."""
    plan, grid = PLANS[size], case(size, folder)
    image = torch.from_numpy(np.load(Path(folder) / f"{CASE}_image.npy"))[:, None]
    output = Path(folder).parent / "plain"
    output.mkdir(exist_ok=True)

    @torch.no_grad()
    def work() -> None:
        each = []
        for epoch in range(1, CHECKPOINTS + 1):
            network = build(size)
            weights = load_file(run_folder(folder) / checkpoint_file(epoch))
            network.load_state_dict(weights, strict=False)  # MONAI has a name twice for most
            logits = sliding_window_inference(
                image, plan.patch_size, TILES_AT_ONCE, network.eval(), OVERLAP, mode="gaussian"
            )
            own = functional.interpolate(
                logits.softmax(1), (grid.rows, grid.columns), mode="bilinear"
            )
            each.append(own)
        samples = torch.stack(each)
        mean = samples.mean(0)
        entropy, of_each = entr(mean).sum(1), entr(samples).sum(2)
        volumes = {
            "segmentation": mean.argmax(1).byte(),
            "entropy": entropy,
            "mutual_information": entropy - of_each.mean(0),
            "variance": samples.var(0, unbiased=False).mean(1),
            "samples": samples.argmax(2).byte(),
        }
        for name, volume in volumes.items():
            nib.save(nib.Nifti1Image(volume.numpy().T, np.eye(4)), output / f"{name}.nii.gz")
        np.save(output / "probabilities.npy", mean.half().numpy())

    return work


def build(size: str) -> DynUNet:
    """The network as MONAI has it, with the norm of the papers."""
    plan = PLANS[size]
    return DynUNet(
        spatial_dims=2,
        in_channels=1,
        out_channels=N_CLASSES,
        kernel_size=[list(kernel) for kernel in plan.kernel_sizes],
        strides=[list(stride) for stride in plan.strides],
        upsample_kernel_size=[list(stride) for stride in plan.strides[1:]],
        filters=list(plan.features_per_stage),
        norm_name=("INSTANCE", {"affine": True}),
        trans_bias=True,
        deep_supervision=True,
        deep_supr_num=plan.n_stages - 3,
    )


def train_run(size: str, folder: Path) -> None:
    """Train the run that both predict with, in epochs of few steps."""
    train(run_of_checkpoints(size, folder), run_folder(str(folder)), CPU)


def run_of_checkpoints(size: str, folder: Path) -> Run:
    """A run whose epochs but the first are all of the constant phase, on small batches."""
    run = run_of(size, folder, epochs=CHECKPOINTS + 1, gamma=1 / (CHECKPOINTS + 1))
    return replace(run, recipe={**run.recipe, "batch_size": 2})


def run_folder(folder: str) -> Path:
    return Path(folder).parent / "run"


def case(size: str, folder: str) -> Any:
    """A case whose scan has finer pixels than the plan's."""
    slices, *plan_shape = np.load(Path(folder) / f"{CASE}_image.npy", mmap_mode="r").shape
    rows, columns = (round(1.2 * pixels) for pixels in plan_shape)
    spacing = [mm / 1.2 for mm in PLANS[size].spacing]
    scan = Path(folder).parent / "scan.nii.gz"
    if not scan.is_file():
        voxels = np.zeros((columns, rows, slices), np.int16)
        nib.save(nib.Nifti1Image(voxels, np.diag([*spacing[::-1], 10.0, 1.0])), scan)
    return SimpleNamespace(
        case=CASE,
        image=str(scan),
        frame=-1,
        slices=slices,
        rows=rows,
        columns=columns,
        spacing_y=spacing[0],
        spacing_x=spacing[1],
    )


def differing_share(folder: Path) -> float:
    """Share of voxels with another label in the two segmentations, of those that either labels."""

    def labels(file: Path) -> NDArray[Any]:
        return np.asarray(nib.load(file).dataobj)

    found = labels(folder / "ours" / "test" / f"{CASE}_segmentation.nii.gz")
    expected = labels(folder / "plain" / "segmentation.nii.gz")
    differing = np.count_nonzero(found != expected)
    return float(differing / np.count_nonzero(found | expected))
