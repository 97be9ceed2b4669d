"""Figure of the SD of a posterior over the weights, layer by layer (Ng et al., 2022)."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from safetensors.numpy import load

from cardiouq.errors import CardiouqError
from cardiouq.files.reading import read
from cardiouq.reporting.style import DOUBLE_COLUMN, use_log_scale, use_style

RHO = ".parametrizations.weight.0.rho"
HEADS = "deep_supervision_heads"
LAYER = re.compile(r"(\w+)(?:\.(\d+))?(?:\.conv_block)?\.(transp_conv|conv1|conv2|conv)\.conv")
"""Pattern of a convolution's name: part of the U-Net, stage of the part, which of the stage."""
PARTS = {
    "input_block": "input",
    "downsamples": "down",
    "bottleneck": "bottom",
    "upsamples": "up",
    "output_block": "output",
}
"""Parts of the U-Net from input to output -> how they are printed."""
CONVOLUTIONS = {"transp_conv": "T", "conv1": "1", "conv2": "2", "conv": ""}
"""Convolutions of a stage, in order -> how they are printed."""
PERCENTILES = {"whislo": 5, "q1": 25, "med": 50, "q3": 75, "whishi": 95}
"""Part of a box in matplotlib -> percentile that it shows."""


class Posterior(TypedDict):
    """Posterior of one method's weights, and what it is compared with."""

    label: str
    checkpoint: str
    prior_sd: float
    initial_sd: float
    """SD of the posterior before training."""


def posterior_sds(checkpoint: str | Path) -> dict[str, NDArray[np.float32]]:
    """SD of the posterior, softplus(rho), of each convolution's weights, from input to output.

    The heads of deep supervision, which predict nothing, are left out.

    Raises:
        CardiouqError: no weight has a posterior, or one is of a layer that the U-Net has not got.
    """
    found = {}
    for name, rho in load(read(checkpoint)).items():
        if not name.endswith(RHO) or name.startswith(HEADS):
            continue
        match = LAYER.fullmatch(name.removesuffix(RHO))
        if not match or match[1] not in PARTS:
            raise CardiouqError(f"{checkpoint}: {name} is in none of {list(PARTS)}")
        part, stage, convolution = match.groups()
        position = list(PARTS).index(part), int(stage or 0), list(CONVOLUTIONS).index(convolution)
        number = "" if stage is None else int(stage) + 1
        label = f"{PARTS[part]}{number} {CONVOLUTIONS[convolution]}".strip()
        found[position] = label, np.logaddexp(0, rho).ravel()
    if not found:
        raise CardiouqError(f"{checkpoint}: expected weights whose names end with {RHO}")
    return dict(found[position] for position in sorted(found))


def draw_posterior_sd(posteriors: Sequence[Posterior]) -> Figure:
    """Draw a panel per method with a box per convolution, and the SD that each started from."""
    use_style()
    figure = Figure(figsize=(DOUBLE_COLUMN, 2.6 * len(posteriors)), layout="constrained")
    for axis, posterior in zip(
        figure.subplots(len(posteriors), squeeze=False).flat, posteriors, strict=True
    ):
        boxes = [_box(label, sd) for label, sd in posterior_sds(posterior["checkpoint"]).items()]
        axis.bxp(boxes, showfliers=False, medianprops={"color": "#D55E00"}, widths=0.6)
        start = posterior["initial_sd"]
        axis.axhline(start, color="#0072B2", linestyle=":", label=f"before training ({start:g})")
        use_log_scale(axis, "y")
        axis.set_ylabel("SD of a weight")
        # a line of the prior's, which is far off, would leave no room to the boxes
        axis.set_title(
            f"{posterior['label']}: SD of the prior {posterior['prior_sd']:g}", loc="left"
        )
        axis.tick_params(axis="x", rotation=90)
        axis.legend(loc="lower right", bbox_to_anchor=(1, 1))
    return figure


def _box(label: str, sd: NDArray[np.float32]) -> dict[str, Any]:
    values = np.percentile(sd, list(PERCENTILES.values()))
    return {"label": label, **dict(zip(PERCENTILES, values, strict=True))}
