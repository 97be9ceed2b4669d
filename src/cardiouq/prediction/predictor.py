"""A predictor, which applies a network to a volume, tile by tile."""

from collections.abc import Callable

import numpy as np
import torch
from monai.inferers import SlidingWindowInferer
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from cardiouq.data.plan import Plan
from cardiouq.data.preprocessing import centre_crop, resampled_shape
from cardiouq.data.readers.scans import Case
from cardiouq.device.choose import in_precision
from cardiouq.methods.base import MIRRORED_AXES
from cardiouq.recipes.network import TILES_AT_ONCE, mirrored


class Predictor:
    """A predictor that applies networks to volumes, and brings logits to a case's own grid."""

    def __init__(
        self, plan: Plan, overlap: float, device: torch.device, *, mirrors: bool = False
    ) -> None:
        # nnU-Net's tiling: patches as in training, weighted by a Gaussian where they overlap
        self.tile = SlidingWindowInferer(
            roi_size=plan.patch_size, sw_batch_size=TILES_AT_ONCE, overlap=overlap, mode="gaussian"
        )
        self.plan = plan
        self.device = device
        self.mirrored_axes = MIRRORED_AXES if mirrors else ()

    @torch.inference_mode()
    def output(self, network: Callable[[Tensor], Tensor], image: NDArray[np.float32]) -> Tensor:
        """Network's output on every slice, blended in float32 where tiles overlap, of the mean over
        mirror images if the predictor mirrors.

        Args:
            network: from (batch, 1, rows, columns) to (batch, channels, rows, columns).
            image: preprocessed volume (slices, rows, columns).

        Returns:
            (slices, channels, rows, columns) on the predictor's device.
        """

        def apply_once(tiles: Tensor) -> Tensor:
            with in_precision(self.device):
                return network(tiles).float()

        apply = mirrored(apply_once, self.mirrored_axes)

        slices = torch.from_numpy(image)[:, None].to(self.device)
        output: Tensor = self.tile(slices, apply)
        return output


@torch.inference_mode()
def probabilities(logits: Tensor, case: Case, plan: Plan) -> Tensor:
    """Probabilities (classes, slices, rows, columns) float32 of logits, on a case's own grid.

    Logits (slices, classes, rows, columns) are on the plan's grid; softmax comes first, then linear
    resampling. Beyond the plan's crop all is background.
    """
    own = case.rows, case.columns
    values = logits.softmax(1)
    if plan.crop:
        uncropped = resampled_shape(own, (case.spacing_y, case.spacing_x), plan.spacing)
        seen = (..., *centre_crop(uncropped, plan.crop))
        on_crop, values = values, values.new_zeros(*values.shape[:2], *uncropped)
        values[:, 0] = 1
        values[seen] = on_crop
    return functional.interpolate(values, own, mode="bilinear").transpose(0, 1)
