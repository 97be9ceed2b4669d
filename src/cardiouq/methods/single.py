"""One network: Vanilla, and Temp. Scaling with a fixed temperature."""

from dataclasses import dataclass
from typing import ClassVar

from cardiouq.methods.base import BaseMethod, Schema


@dataclass(frozen=True)
class Method(BaseMethod):
    """The last weights of one run; softmax(logits / temperature).

    Zhao et al. (MICCAI 2022) fix the temperature of Temp. Scaling at 1.5 and do not fit it.
    """

    schema: ClassVar[Schema] = {"temperature": {"type": "number", "exclusiveMinimum": 0}}
