"""Training of one run, read from top to bottom: a recipe and a seed become a trajectory."""

import logging
import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from cardiouq.device.choose import (
    device_name,
    has_bf16,
    make_deterministic,
    pays_to_compile,
    precision,
)
from cardiouq.errors import CardiouqError
from cardiouq.files.locks import exclusive_lock
from cardiouq.methods import build_variant
from cardiouq.methods.base import BaseVariant, Training
from cardiouq.provenance.record import (
    NOT_RECORDED,
    code_hash,
    machines,
    note_machine,
    repository,
)
from cardiouq.recipes.augmentation import Augmentation
from cardiouq.recipes.loss import build_loss
from cardiouq.recipes.network import build_network, in_fast_layout
from cardiouq.recipes.optimiser import build_optimiser, set_rate
from cardiouq.training.interruption import LEFT, Notice
from cardiouq.training.patches import PatchSampler
from cardiouq.training.run import Run
from cardiouq.training.run_folder import SideFolder
from cardiouq.training.trajectory import Trajectory
from cardiouq.training.validation import held_out_batches, validate

log = logging.getLogger(__name__)

MAX_GRADIENT_NORM = 12.0
"""Norm that nnU-Net clips gradients to; the restarts of Eq. 4 would diverge without it."""


def train(run: Run, output: Path, device: torch.device) -> None:
    """Train a run to its end, going on from where an interrupted one stopped.

    Writes into `output`: `run.json`, `history.csv`, `last_layer.npy` (epochs, weights) float32 and
    `checkpoints/epoch-NNNN.safetensors` after each epoch in `keep_epochs`; with `branch_epochs`
    also `states/epoch-NNNN.safetensors`; in `machine.json` where it was trained, which is not in
    `run.json`, as an interrupted run may go on elsewhere. An interrupted and resumed run ends with
    the same bits as an uninterrupted one on the same machine. SIGTERM or Ctrl-C ends the process as
    soon as every finished epoch is kept: at once, or after the epoch that it came in if the one
    before is not. A run that is finished, by whatever code, is not trained again.
    """
    with exclusive_lock(output), Notice() as notice:
        side = SideFolder(output, run.identity())
        if side.is_finished():
            codes = dict.fromkeys(machine["code"] for machine in machines(output))
            log.info(
                "%s is there, trained by the code %s, where the present is %s; delete it to train "
                "it again",
                output,
                ", ".join(codes) or NOT_RECORDED,
                code_hash(repository()),
            )
            side.remove()
        else:
            _train(run, side, device, notice)


def _train(run: Run, side: SideFolder, device: torch.device, notice: Notice) -> None:
    make_deterministic()
    setup = set_up(run, device)
    # which sums in another order, and so ends in other weights
    compiled = ", compiled" if setup.is_compiled else ""
    note_machine(side.products, device_name(device), precision(device) + compiled)
    trajectory = Trajectory(run, side, setup.training.network, setup.optimiser)
    leave_if_told = partial(_leave_if_told, notice, trajectory)
    for epoch in range(trajectory.next_epoch, run.schedule.epochs):
        start, processor_start = time.monotonic(), time.process_time()
        set_rate(setup.optimiser, run.schedule, epoch)
        loss = train_epoch(setup, epoch, leave_if_told)
        validation = validate(setup.variant, setup.training, setup.held_out)
        taken = time.monotonic() - start, time.process_time() - processor_start
        trajectory.add(loss, validation, *taken)
        if notice.given or trajectory.is_due():
            trajectory.keep()
    leave_if_told()  # the job may be taken for dead, and its output with it
    trajectory.finish()


class Setup(NamedTuple):
    """Parts of a recipe, built for one run."""

    run: Run
    variant: BaseVariant
    training: Training
    loss: Callable[[Tensor, Tensor], Tensor]
    """Of images and labels."""
    optimiser: torch.optim.Optimizer
    augmentation: Augmentation
    patches: PatchSampler
    held_out: Sequence[tuple[Tensor, Tensor]]
    is_compiled: bool


def set_up(run: Run, device: torch.device) -> Setup:
    """Build what a run trains with; the weights are drawn from a seed of their own."""
    recipe, patch_size = run.settings, run.plan.patch_size
    augmentation = Augmentation(**recipe["augmentation"])
    torch.manual_seed(run.seed_for("weights"))
    variant = build_variant(recipe.get("variant"))
    plain = build_network(run.plan, recipe["dropout"])
    in_bf16, is_compiled = has_bf16(device), pays_to_compile(run.steps, device)
    network = in_fast_layout(variant.network(plain), device, is_compiled=is_compiled)
    if buffers := [name for name, _ in network.named_buffers()]:
        raise CardiouqError(
            f"recipe {run.recipe_name}: its network has the buffers {buffers}, which a run would "
            "not keep; expected parameters alone. Use instance or group norm, not batch norm"
        )
    patches, held_out = (
        PatchSampler(run.arrays, cases, patch_size, recipe["foreground_share"], device)
        for cases in (run.train_cases, run.validation_cases)
    )
    annotated = patches.annotated_shares()
    training = Training(
        member=run.member,
        network=network,
        plain_loss=build_loss(recipe, heads=max(1, run.plan.n_stages - 2)),
        images=len(annotated),
        pixels=math.prod(patch_size) * float(annotated.mean()),
        progress=torch.zeros((), device=device),
    )

    def loss(images: Tensor, labels: Tensor) -> Tensor:
        # not `in_precision`, which asks the hardware: compiled, that splits the graph
        with torch.autocast(device.type, torch.bfloat16, enabled=in_bf16):
            heads = network(images)
        return variant.loss([head.float() for head in heads], labels, training)

    if is_compiled:
        loss = torch.compile(loss, dynamic=False)
    optimiser = variant.optimiser(build_optimiser(network, recipe["optimiser"]), training)
    batches = held_out_batches(run, held_out)
    return Setup(
        run, variant, training, loss, optimiser, augmentation, patches, batches, is_compiled
    )


def train_epoch(setup: Setup, epoch: int, leave_if_told: Callable[[], None]) -> float:
    """Train for one epoch, whose random numbers depend on nothing before it.

    Args:
        setup: what is trained, and with what.
        epoch: counted from 0.
        leave_if_told: called before each batch; it may end the process.

    Returns:
        The mean loss of the batches.

    Raises:
        CardiouqError: the mean loss is not finite.
    """
    run, recipe, network = setup.run, setup.run.settings, setup.training.network
    device = next(network.parameters()).device
    torch.manual_seed(run.seed_for("dropout", epoch))
    noise = torch.Generator(device).manual_seed(run.seed_for("noise", epoch))
    where, how = (
        np.random.default_rng(run.seed_for(purpose, epoch))
        for purpose in ("patches", "augmentation")
    )
    network.train()
    setup.training.progress.fill_(epoch / run.schedule.epochs)
    losses = []
    for _ in range(recipe["iterations_per_epoch"]):
        leave_if_told()
        locations = setup.patches.sample_batch(recipe["batch_size"], where)
        images, labels = setup.augmentation(locations, run.plan.patch_size, how, noise)
        loss = setup.loss(images, labels)
        setup.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), MAX_GRADIENT_NORM)
        setup.optimiser.step()
        losses.append(loss.detach())
    mean_loss = float(torch.stack(losses).mean())
    if not math.isfinite(mean_loss):
        raise CardiouqError(
            f"recipe {run.recipe_name}: the loss became {mean_loss} in epoch {epoch} of run "
            f"{run.member}; expected a finite one. Set a lower rate, `schedule.alpha_0`"
        )
    return mean_loss


def _leave_if_told(notice: Notice, trajectory: Trajectory) -> None:
    """End the process if it was told to and every finished epoch is kept."""
    if notice.given and trajectory.epochs_kept == trajectory.next_epoch:
        log.info(
            "%s; %d epochs are kept, the next run goes on from there",
            LEFT,
            trajectory.epochs_kept,
        )
        notice.leave()
