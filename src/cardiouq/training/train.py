"""Training of one run, read from top to bottom: a recipe and a seed become a trajectory."""

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from cardiouq.data.plan import Plan
from cardiouq.device.choose import (
    device_name,
    make_deterministic,
    training_precision,
    trains_in_bf16,
)
from cardiouq.files.locks import alone
from cardiouq.files.tables import read_rows
from cardiouq.files.writing import written_whole
from cardiouq.methods import build_variant
from cardiouq.methods.base import BaseVariant, Member, Training
from cardiouq.provenance.record import note_machine
from cardiouq.recipes.augmentation import Augmentation, cut_patch
from cardiouq.recipes.network import (
    DeepSupervisionLoss,
    build_network,
    channels_last,
    last_decoder_layer,
)
from cardiouq.recipes.schedule import build_schedule
from cardiouq.seeds import derive
from cardiouq.structures import IGNORED, N_CLASSES
from cardiouq.training.interruption import Notice
from cardiouq.training.patches import WindowSampler
from cardiouq.training.run_folder import SideFolder, load_state, save_state, save_tensors

log = logging.getLogger(__name__)

MAX_GRADIENT_NORM = 12.0
"""nnU-Net's clipping; the restarts of Eq. 4 would diverge without it."""
SECONDS_BETWEEN_STATES = 60
SECONDS_BETWEEN_REPORTS = 15
HISTORY_COLUMNS = (
    "epoch",
    "learning_rate",
    "train_loss",
    "validation_loss",
    "validation_dice",
    "validation_nll",
    "seconds",
)


@dataclass(frozen=True)
class Run:
    """One recipe and one of its members, and the data they meet."""

    recipe_name: str
    recipe: dict[str, Any]
    member: Member
    seed: int
    keep_epochs: Sequence[int]
    branch_epochs: Sequence[int]
    """After which the whole state is kept, for other runs to start from."""
    plan: Plan
    arrays: Path
    train_cases: tuple[str, ...]
    validation_cases: tuple[str, ...]
    fingerprint: str
    """Of the training data and the plan; a prediction asks for the same."""
    base: str | None = None
    """State of the run that this one branches from."""

    def seed_for(self, *purpose: str | int) -> int:
        """Seed of one purpose in this run; an epoch's depends on nothing before it."""
        return derive(self.seed, self.recipe_name, str(self.member), *purpose)

    def identity(self) -> dict[str, Any]:
        """What `run.json` says."""
        return {
            "recipe_name": self.recipe_name,
            "recipe": self.recipe,
            "member": str(self.member),
            "seed": self.seed,
            "keep_epochs": list(self.keep_epochs),
            "branch_epochs": list(self.branch_epochs),
            "data_fingerprint": self.fingerprint,
        }


def build_optimiser(network: nn.Module, settings: dict[str, Any]) -> torch.optim.Optimizer:
    """SGD with momentum (Nesterov's, as nnU-Net has it, unless it is switched off), or AdamW for
    budgets of few iterations.

    The learning rate is the schedule's and is set at every epoch.
    """
    decay = settings["weight_decay"]
    if settings["name"] == "adamw":
        return torch.optim.AdamW(network.parameters(), lr=0.0, weight_decay=decay)
    return torch.optim.SGD(
        network.parameters(),
        lr=0.0,
        momentum=settings["momentum"],
        nesterov=settings.get("nesterov", True),
        weight_decay=decay,
    )


def train(run: Run, output: Path, device: torch.device) -> None:
    """Train a run to its end, going on from where an interrupted one stopped.

    Writes into `output`: `run.json`, `history.csv`, `last_layer.npy` (epochs, weights) float32 and
    `checkpoints/epoch-NNNN.safetensors` after each epoch in `keep_epochs`; with `branch_epochs`
    also `states/epoch-NNNN.safetensors`; in `machine.json` where it was trained, which is not in
    `run.json`, as an interrupted run may go on elsewhere. An interrupted and resumed run ends with
    the same bits as an uninterrupted one on the same machine. SIGTERM or Ctrl-C ends the process as
    soon as every finished epoch is kept: at once, or after the epoch that it came in if the one
    before is not. A run that is finished, by the same code, is not trained again.
    """
    with alone(output), Notice() as notice:
        side = SideFolder(output, run.identity())
        if side.is_finished():
            log.info("%s is there, trained by this code; delete it to train it again", output)
            side.remove()
        else:
            _train(run, side, device, notice)


def _train(run: Run, side: SideFolder, device: torch.device, notice: Notice) -> None:
    make_deterministic()
    recipe = run.recipe
    schedule = build_schedule(recipe["schedule"])
    augmentation = Augmentation(
        **recipe["augmentation"] | {"scale": tuple(recipe["augmentation"]["scale"])}
    )
    torch.manual_seed(run.seed_for("weights"))
    variant = build_variant(recipe.get("variant"))
    plain = build_network(run.plan, recipe["dropout"])
    network = variant.network(plain).to(device)
    if not trains_in_bf16(device):
        network = channels_last(network)
    samplers = [
        WindowSampler(
            run.arrays,
            cases,
            run.plan.patch_size,
            augmentation.window(run.plan.patch_size),
            recipe["foreground_share"],
        )
        for cases in (run.train_cases, run.validation_cases)
    ]

    plain_loss = DeepSupervisionLoss(
        heads=1 + plain.deep_supr_num if recipe.get("deep_supervision", True) else 1,
        dice=recipe.get("loss") != "cross_entropy",
        in_part=any(any(sampler.in_part) for sampler in samplers),
    )
    shares = samplers[0].annotated_shares()
    training = Training(
        member=run.member,
        images=len(shares),
        pixels=math.prod(run.plan.patch_size) * float(shares.mean()),
    )
    optimiser = variant.optimiser(build_optimiser(network, recipe["optimiser"]), training)

    precision = "bfloat16" if trains_in_bf16(device) else "float32"
    note_machine(side.products, device_name(device), precision)
    history: list[dict[str, float]] = []
    if side.state.is_file():
        first_epoch, last_layers = load_state(side.state, network, optimiser)
        history = [
            row for row in read_history(side.products / "history.csv") if row["epoch"] < first_epoch
        ]
        log.info("resuming at epoch %d of %d", first_epoch, schedule.epochs)
    elif run.base:
        first_epoch, last_layers = load_state(Path(run.base), network, optimiser)
    else:
        first_epoch = 0
        last_layers = torch.zeros(schedule.epochs, len(last_decoder_layer(network)))

    kept_epoch = first_epoch - 1
    # the weights of the lowest validation NLL so far then stand for those of the last epoch
    selected = recipe.get("selection") == "validation_nll"
    state_time = report_time = start = time.monotonic()
    for epoch in range(first_epoch, schedule.epochs):
        epoch_start = time.monotonic()
        torch.manual_seed(run.seed_for("dropout", epoch))
        draw = torch.Generator(device).manual_seed(run.seed_for("augmentation", epoch))
        rng = np.random.default_rng(run.seed_for("patches", epoch))
        learning_rate = schedule.learning_rate(epoch)
        for group in optimiser.param_groups:
            group["lr"] = learning_rate
            group["sampling"] = schedule.is_sampling(epoch)

        network.train()
        losses = []
        for _ in range(recipe["iterations_per_epoch"]):
            if notice.given and kept_epoch == epoch - 1:
                _leave(notice, epoch)
            images, labels = samplers[0].draw(recipe["batch_size"], rng)
            images, labels = augmentation(
                images.to(device), labels.to(device), run.plan.patch_size, draw
            )
            with training_precision(device):
                outputs = network(images)
            loss = variant.loss(network, outputs.float(), labels, plain_loss, training)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), MAX_GRADIENT_NORM)
            optimiser.step()
            losses.append(loss.detach())
        train_loss = float(torch.stack(losses).mean())
        if not np.isfinite(train_loss):
            raise FloatingPointError(f"the loss became {train_loss} in epoch {epoch}")

        validation = validate(network, variant, plain_loss, samplers[1], run)
        last_layers[epoch] = last_decoder_layer(network).cpu()
        history.append(
            dict(
                zip(
                    HISTORY_COLUMNS,
                    (
                        epoch,
                        learning_rate,
                        train_loss,
                        *validation,
                        time.monotonic() - epoch_start,
                    ),
                    strict=True,
                )
            )
        )
        if selected:
            keeps_as = schedule.epochs - 1
            keeps = history[-1]["validation_nll"] <= min(row["validation_nll"] for row in history)
        else:
            keeps_as, keeps = epoch, epoch in run.keep_epochs
        if keeps:
            name = f"epoch-{keeps_as:04d}.safetensors"
            save_tensors(dict(network.named_parameters()), side.products / "checkpoints" / name)
        if epoch in run.branch_epochs:
            kept = side.products / "states" / f"epoch-{epoch:04d}.safetensors"
            kept.parent.mkdir(exist_ok=True)
            save_state(kept, epoch, network, optimiser, last_layers)
        now = time.monotonic()
        is_due = now - state_time > SECONDS_BETWEEN_STATES or notice.given
        if is_due or epoch + 1 == schedule.epochs:
            write_history(history, side.products / "history.csv")
            save_state(side.state, epoch, network, optimiser, last_layers)
            state_time, kept_epoch = now, epoch
        if now - report_time > SECONDS_BETWEEN_REPORTS or epoch + 1 == schedule.epochs:
            done = tqdm.format_meter(
                epoch + 1 - first_epoch, schedule.epochs - first_epoch, now - start, unit="epoch"
            )
            log.info("loss %.3f, validation Dice %.3f, %s", train_loss, validation[1], done)
            report_time = now

    if notice.given:  # the job may be taken for dead, and its output with it
        _leave(notice, schedule.epochs)
    with written_whole(side.products / "last_layer.npy") as temporary:
        np.save(temporary, last_layers.numpy())
    side.finish()


def _leave(notice: Notice, epochs: int) -> NoReturn:
    log.info("told to leave; %d epochs are kept, the next run goes on from there", epochs)
    notice.leave()


@torch.no_grad()
def validate(
    network: nn.Module,
    variant: BaseVariant,
    plain_loss: DeepSupervisionLoss,
    sampler: WindowSampler,
    run: Run,
) -> tuple[float, float, float]:
    """Loss, mean foreground Dice and NLL (nats per pixel) on unaugmented patches of held-out
    subjects, the same ones at every epoch of every run of a study.

    They are of the mean over the network's samples, if it has several. The loss is the plain one,
    so that it compares between variants. Dice is over all patches as one, as nnU-Net's pseudo Dice.
    All three are of annotated pixels.
    """
    device = next(network.parameters()).device
    rng = np.random.default_rng(derive(run.seed, "validation"))
    nll_loss = plain_loss.of_annotated(
        lambda logits, labels: functional.cross_entropy(logits, labels[:, 0].long())
    )
    network.eval()
    losses, nll = [], []
    overlap = torch.zeros(3, N_CLASSES, dtype=torch.int64)
    for _ in range(run.recipe["validation_batches"]):
        windows = sampler.draw(run.recipe["batch_size"], rng)
        images, labels = (cut_patch(w, run.plan.patch_size).to(device) for w in windows)
        with training_precision(device):
            samples = variant.logits(network(images)).float()
        logits = samples.softmax(2).mean(0).log() if len(samples) > 1 else samples[0]
        losses.append(plain_loss.head_loss(logits, labels))
        nll.append(nll_loss(logits, labels))
        overlap += count_overlap(logits.max(1).indices, labels[:, 0]).cpu()
    both, predicted, reference = overlap[:, 1:].double()
    dice = 2 * both / (predicted + reference).clamp_min(1)
    return (
        float(torch.stack(losses).mean()),
        float(dice.mean()),
        float(torch.stack(nll).mean()),
    )


def count_overlap(predicted: Tensor, reference: Tensor) -> Tensor:
    """Annotated voxels per class in both, in the prediction, in the reference: (3, classes)
    int64."""
    annotated = reference != IGNORED
    predicted, reference = predicted[annotated], reference[annotated]
    counts = [
        torch.bincount(values.flatten().long(), minlength=N_CLASSES)
        for values in (predicted[predicted == reference], predicted, reference)
    ]
    return torch.stack(counts)


def write_history(history: Sequence[dict[str, float]], path: Path) -> None:
    """Write the rows of `history.csv`."""
    with written_whole(path) as temporary:
        pd.DataFrame(history, columns=list(HISTORY_COLUMNS)).to_csv(temporary, index=False)


def read_history(path: Path) -> list[dict[str, float]]:
    """Read the rows of `history.csv` back, every bit of every number; NaN is written as nothing."""
    # pandas' own numbers differ in the last bit now and then
    texts = read_rows(path, numbers={}).to_dict("records")
    rows = [{str(name): float(text or "nan") for name, text in row.items()} for row in texts]
    return [{**row, "epoch": int(row["epoch"])} for row in rows]
