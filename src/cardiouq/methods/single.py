"""One network: Vanilla, and Temp. Scaling with a fixed temperature."""

from dataclasses import dataclass

from cardiouq.methods.base import BaseMethod


@dataclass(frozen=True)
class Method(BaseMethod):
    """The last weights of one run; softmax(logits / temperature).

    Zhao et al. (MICCAI 2022) fix the temperature of Temp. Scaling at 1.5 and do not fit it.
    """

    schema = {"temperature": {"type": "number", "exclusiveMinimum": 0}}
