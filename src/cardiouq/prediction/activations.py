"""What a volume's probabilities no longer tell: energy, largest logit and deepest features.

They tell scans of another distribution from those in domain. The energy -log Σ exp z of logits z
(Liu et al., NeurIPS 2020) and the largest logit (Hendrycks et al., ICML 2022) are lost by softmax,
the features of the bottleneck by the decoder.
"""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from cardiouq.recipes.network import is_bottleneck

DECIMALS = 5
"""Of energies and logits: of logarithms of probabilities the energy is 0, and no rounding error."""


class Activations:
    """Means of each case over its samples, and over all voxels of the plan's grid."""

    def __init__(self) -> None:
        self._logits: dict[str, list[Tensor]] = defaultdict(list)
        self._features: dict[str, list[Tensor]] = defaultdict(list)

    @torch.inference_mode()
    def add_logits(self, case: str, logits: Tensor) -> None:
        """Take in one sample's logits (slices, classes, rows, columns)."""
        energy, largest = -logits.logsumexp(1), logits.amax(1)
        self._logits[case].append(torch.stack([energy.double().mean(), largest.double().mean()]))

    @contextmanager
    def of_bottleneck(self, case: str) -> Iterator[None]:
        """Take in the mean of each of the bottleneck's channels whenever a network is applied."""
        parts = []

        def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            if is_bottleneck(module):
                parts.append(output.float().mean((2, 3)))

        handle = register_module_forward_hook(note)
        try:
            yield
        finally:
            handle.remove()
        if parts:
            self._features[case].append(torch.cat(parts).double().mean(0))

    def table(self) -> pd.DataFrame:
        """Rows of case, energy, largest_logit and, of a network with a bottleneck, channel_0 on."""
        rows = []
        for case, logits in self._logits.items():
            energy, largest = torch.stack(logits).mean(0).tolist()
            row = {"case": case, "energy": energy, "largest_logit": largest}
            if features := self._features[case]:
                means = torch.stack(features).mean(0).tolist()
                row |= {f"channel_{index}": mean for index, mean in enumerate(means)}
            rows.append(row)
        return pd.DataFrame(rows).round(DECIMALS)
