"""A study knows how many samples its methods draw before they have any run."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from cardiouq.data.plan import Plan
from cardiouq.methods import build_variant
from cardiouq.prediction.predictor import Predictor
from cardiouq.prediction.sampler import RunSampler
from cardiouq.recipes.network import build_network
from cardiouq.study.study import Study
from tests.methods.conftest import RunInMemory

MORE = [
    {
        "method": "checkpoint_ensemble",
        "recipe": "cyclical",
        "cycles": 3,
        "checkpoints": 1,
        "step": 1,
        "select": "best",
    },
    {"method": "calibrated_ensemble", "recipe": "biased", "folds": 2, "w": [-2, 0, 3]},
    {
        "method": "swag",
        "recipe": "cyclical",
        "size": 2,
        "cycles": 2,
        "checkpoints": 2,
        "rank": 2,
        "step": 1,
        "samples": 3,
    },
]
"""Methods of other settings than the tiny study's."""
CASE = (
    torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(1)),
    np.random.default_rng(1).integers(0, 4, (2, 32, 32)).astype(np.uint8),
)


class Run(RunInMemory):
    """A run whose networks all have random weights."""

    def mean_network(self, epochs: Sequence[int]) -> Any:
        return self.network(epochs[-1])


def sampler_of(study: Study, name: str, plan: Plan) -> RunSampler:
    """A method with runs of its recipe."""
    recipe, schedule = study["recipes"][study.recipe_of(name)], study.schedule_of(name)

    def network() -> nn.Module:
        plain = build_network(plan, recipe["dropout"])
        whole = build_variant(recipe.get("variant")).network(plain)
        return whole.eval().requires_grad_(requires_grad=False)

    networks = dict.fromkeys(range(schedule.epochs), network)
    losses = {epoch: float(epoch) for epoch in networks}
    runs = [Run(networks, member, [CASE], losses) for member in study.method_members(name)]
    predictor = Predictor(plan, 0.0, torch.device("cpu"))
    unused = partial(np.zeros, 0)
    return RunSampler(study.methods[study.repeated(name)], runs, schedule, predictor, unused)


def test_samples_of_every_method_are_as_many_as_it_draws(
    tiny: dict[str, Any], make_study: Callable[[dict[str, Any]], Study], plan: Plan
) -> None:
    for number, block in enumerate(MORE):
        tiny["methods"][f"more_{number}"] = block | {"label": f"More {number}"}
    # checkpoints may not be chosen by what is tested on
    tiny["phantom"]["acdc_subjects"] = 25
    tiny["split"] |= {"validation_fraction": 0.2, "test_fraction": 0.2}
    tiny["test_sets"]["phantom-val"]["split"] = "test"
    study = make_study(tiny)
    counted, said, drawn = {}, {}, {}
    for name in (*study.methods, *study.repeats):
        sampler = sampler_of(study, name, plan)
        drawn[name] = sum(len(draw.samples) for draw in sampler.draws(sampler.fit()))
        counted[name], said[name] = study.sample_count(name, plan), sampler.sample_count
    assert [drawn[f"more_{number}"] for number in range(3)] == [3, 3, 12]
    assert drawn["layer_ensemble"] == 4
    assert counted == said == drawn
