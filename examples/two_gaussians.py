"""Calibrated ensembles on two overlapping Gaussians (the 1-D toy of Buddenkotte et al., 2023).

A voxel is one number, drawn from the structure's Gaussian or from the background's. In between,
what it belongs to is uncertain, and by how much is known: the true posterior. Seven logistic
regressions are trained with the biased losses, their votes calibrated by cross-validation, and the
heat map is compared with the true posterior.

    python examples/two_gaussians.py heat_map.png
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import norm
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))  # whatever is installed

from cardiouq.methods.calibrated_ensemble import VoteCounts, W, biased_loss, heat_map

STRUCTURE, BACKGROUND = norm(1, 1), norm(-1, 1)
VOXELS = 10_000
FOLDS = 4
X = np.linspace(-4, 4, 801)
"""Where thresholds are looked for and the figure is drawn."""


@dataclass(frozen=True)
class Toy:
    """What the ensemble learnt.

    Attributes:
        thresholds: of each member, from which x on it votes for the structure.
        r_squared: by fit (`count`, `pattern`), of the heat map and the true posterior, over new
            voxels.
        heat: by fit, the heat map at `X`.
    """

    thresholds: NDArray[np.float64]
    r_squared: dict[str, float]
    heat: dict[str, NDArray[np.float32]]


def draw_voxels(rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Values x and labels, half of them of the structure."""
    labels = (np.arange(VOXELS) % 2).astype(np.uint8)
    x = np.where(labels == 1, STRUCTURE.rvs(VOXELS, rng), BACKGROUND.rvs(VOXELS, rng))
    return x, labels


def true_posterior(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probability that a voxel of value x is of the structure."""
    structure: NDArray[np.float64] = STRUCTURE.pdf(x)
    return structure / (structure + BACKGROUND.pdf(x))


def train_member(x: NDArray[np.float64], labels: NDArray[np.uint8], w: float) -> nn.Module:
    """Logistic regression that minimises the biased loss of the member w."""
    torch.manual_seed(0)
    member = nn.Conv2d(1, 2, kernel_size=1)
    voxels, counts = as_batch(x), torch.cat([as_batch(labels == value) for value in (0, 1)], dim=1)
    optimiser = torch.optim.LBFGS(member.parameters(), max_iter=50, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = biased_loss(member(voxels), counts, w)
        loss.backward()
        return loss

    optimiser.step(closure)
    return member


@torch.no_grad()
def vote(networks: list[nn.Module], x: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Argmax of the networks' mean probabilities."""
    mean = torch.stack([network(as_batch(x)).softmax(1) for network in networks]).mean(0)
    return mean[0, :, 0].argmax(0).numpy().astype(np.uint8)


def as_batch(x: NDArray[np.generic]) -> Tensor:
    """An image of one row, (1, 1, 1, voxels) float32."""
    return torch.from_numpy(x).float().view(1, 1, 1, -1)


def run(seed: int = 0) -> Toy:
    """Train, calibrate on held-out voxels, compare on new ones."""
    rng = np.random.default_rng(seed)
    x, labels = draw_voxels(rng)
    fold_of = rng.integers(FOLDS, size=VOXELS)
    counts = VoteCounts(len(W))
    by_fold = []
    for fold in range(FOLDS):
        seen, held_out = fold_of != fold, fold_of == fold
        members = [train_member(x[seen], labels[seen], w) for w in W]
        counts.add(np.stack([vote([m], x[held_out]) for m in members]), labels[held_out])
        by_fold.append(members)
    ensemble = [list(networks) for networks in zip(*by_fold, strict=True)]

    new_x, _ = draw_voxels(rng)
    truth = true_posterior(new_x)
    votes = np.stack([vote(networks, X) for networks in ensemble])
    new_votes = np.stack([vote(networks, new_x) for networks in ensemble])
    r_squared, heat = {}, {}
    for fit, coefficients in (("count", counts.by_count()), ("pattern", counts.by_pattern())):
        residual = heat_map(new_votes, coefficients, fit)[1] - truth
        r_squared[fit] = float(1 - np.mean(residual**2) / np.var(truth))
        heat[fit] = heat_map(votes, coefficients, fit)[1]
    return Toy(X[votes.argmax(1)], r_squared, heat)


def draw_figure(toy: Toy, path: Path) -> None:
    """Heat maps and thresholds beside the true posterior."""
    figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
    axes.plot(X, true_posterior(X), "k", label="true posterior")
    for fit, style in (("count", "-"), ("pattern", "--")):
        label = f"heat map by {fit}, $R^2$ = {toy.r_squared[fit]:.3f}"
        axes.plot(X, toy.heat[fit], style, label=label)
    for w, threshold in zip(W, toy.thresholds, strict=True):
        axes.axvline(threshold, color="0.8", linewidth=0.8, zorder=0)
        axes.annotate(f"{w:+d}", (threshold, 1.05), ha="center", fontsize="small", color="0.5")
    axes.set(xlabel="x", ylabel="probability of the structure", ylim=(-0.03, 1.12))
    axes.legend(loc="center left", frameon=False, fontsize="small")
    figure.savefig(path, dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    toy = run()
    for w, threshold in zip(W, toy.thresholds, strict=True):
        print(f"w = {w:+d}: the structure from x = {threshold:+.2f} on")
    for fit, value in toy.r_squared.items():
        print(f"heat map by {fit}: R^2 = {value:.4f} with the true posterior")
    draw_figure(toy, Path(sys.argv[1]))
