"""Which members and epochs each method draws, with the paper's settings."""

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cardiouq.methods import build_method, method_class, method_names, variant_class
from cardiouq.methods.base import Member, Sample
from cardiouq.methods.settings import settings_schema
from cardiouq.recipes.schedule import CyclicalSchedule, PolynomialSchedule

POLYNOMIAL = PolynomialSchedule(epochs=1000, alpha_0=0.01, epsilon=0.9)
CYCLICAL = CyclicalSchedule(
    1200, cycles=3, gamma=0.8, alpha_0=0.01, alpha_r=0.1, epsilon=0.9, denominator="T"
)


@dataclass
class RecordedRun:
    """Remembers which networks were asked of it."""

    member: Member
    asked: list[Any] = field(default_factory=list)

    def network(self, epoch: int) -> Any:
        self.asked.append(epoch)
        return SimpleNamespace(modules=list)

    def mean_network(self, epochs: Sequence[int]) -> Any:
        self.asked.append(list(epochs))
        return SimpleNamespace(modules=list)


def draw(block: dict[str, Any], schedule: Any) -> tuple[list[Sample], list[RecordedRun]]:
    method = build_method(block)
    runs = [RecordedRun(member) for member in method.members()]
    draws = method.draws(runs, schedule, method.fit(runs, schedule))
    return [sample for drawn in draws for sample in drawn.samples], runs


def test_vanilla_is_the_last_epoch_of_the_first_member() -> None:
    samples, _ = draw({"method": "single"}, POLYNOMIAL)
    assert samples == [Sample(Member(), 999)]


def test_temperature_scaling_is_vanilla_s_network() -> None:
    block = {"method": "single", "temperature": 1.5}
    assert draw(block, POLYNOMIAL)[0] == draw({"method": "single"}, POLYNOMIAL)[0]
    assert build_method(block).fit([], POLYNOMIAL) == {"temperature": 1.5}
    assert build_method({"method": "single"}).fit([], POLYNOMIAL) == {"temperature": 1.0}


def test_deep_ensemble_is_the_last_epoch_of_five_members() -> None:
    samples, runs = draw({"method": "deep_ensemble", "size": 5}, POLYNOMIAL)
    assert samples == [Sample(Member(seed), 999) for seed in range(5)]
    assert [run.asked for run in runs] == [[999]] * 5


def test_mc_dropout_passes_one_network_thirty_times() -> None:
    samples, runs = draw({"method": "mc_dropout", "passes": 30}, POLYNOMIAL)
    assert samples == [Sample(Member(), 999)] * 30
    assert [run.asked for run in runs] == [[999]]


def test_single_is_every_second_of_the_last_sixty_epochs() -> None:
    block = {"method": "checkpoint_ensemble", "cycles": 1, "checkpoints": 30, "step": 2}
    samples, _ = draw(block, CYCLICAL)
    assert samples == [Sample(Member(), epoch) for epoch in range(1141, 1200, 2)]


def test_multi_is_ten_epochs_of_each_cycle() -> None:
    block = {"method": "checkpoint_ensemble", "cycles": 3, "checkpoints": 10, "step": 1}
    samples, _ = draw(block, CYCLICAL)
    ends = (400, 800, 1200)
    assert samples == [Sample(Member(), epoch) for end in ends for epoch in range(end - 10, end)]


def test_fewer_cycles_than_the_recipe_s_are_the_last_ones() -> None:
    block = {"method": "checkpoint_ensemble", "cycles": 2, "checkpoints": 1, "step": 1}
    assert [sample.epoch for sample in draw(block, CYCLICAL)[0]] == [799, 1199]


def test_swa_is_one_network_of_the_same_epochs_as_single() -> None:
    samples, runs = draw({"method": "swa", "checkpoints": 30, "step": 2}, CYCLICAL)
    assert samples == [Sample(Member(), 1199)]
    assert runs[0].asked == [list(range(1141, 1200, 2))]


@pytest.mark.parametrize(
    ("block", "passes"),
    [
        ({"method": "single"}, 1),
        ({"method": "single", "temperature": "fitted", "folds": 4}, 1),
        ({"method": "test_time_augmentation", "passes": 6}, 6),
        ({"method": "swa", "checkpoints": 30, "step": 2}, 1),
        ({"method": "swag", "cycles": 3, "samples": 4}, 12),
        ({"method": "mc_dropout", "passes": 30}, 30),
        ({"method": "deep_ensemble", "size": 5}, 5),
        ({"method": "cv_ensemble", "folds": 3}, 3),
        ({"method": "checkpoint_ensemble", "cycles": 3, "checkpoints": 10, "step": 1}, 30),
        ({"method": "checkpoint_ensemble", "checkpoints": 2, "select": "best"}, 2),
        ({"method": "bayes_by_backprop", "samples": 7}, 7),
        ({"method": "layer_ensemble"}, 1),  # all heads are of one pass
        ({"method": "calibrated_ensemble", "w": [-1, 1], "folds": 4}, 8),
        ({"method": "stochastic_segmentation", "samples": 50}, 1),
        ({"method": "evidential", "samples": 10}, 1),
    ],
)
def test_a_slice_goes_through_as_many_networks_as_it_costs(
    block: dict[str, Any], passes: int
) -> None:
    assert build_method(block).network_passes(CYCLICAL) == passes


@pytest.mark.parametrize(
    "block",
    [
        {"method": "swa", "checkpoints": 81, "step": 1},
        {"method": "checkpoint_ensemble", "cycles": 1, "checkpoints": 41, "step": 2},
        {"method": "checkpoint_ensemble", "cycles": 4, "checkpoints": 1, "step": 1},
        {"method": "swag", "checkpoints": 81, "step": 1},
        {"method": "swag", "cycles": 4},
    ],
)
def test_more_checkpoints_or_cycles_than_there_are_is_an_error(block: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"constant phase|cycles"):
        build_method(block).checkpoint_epochs(CYCLICAL)


def test_every_file_of_the_folder_is_a_method() -> None:
    assert method_names() == [
        "bayes_by_backprop",
        "calibrated_ensemble",
        "checkpoint_ensemble",
        "cv_ensemble",
        "deep_ensemble",
        "evidential",
        "hmc",
        "isotonic",
        "layer_ensemble",
        "mc_dropout",
        "nnunet",
        "nnunet_probabilities",
        "single",
        "stochastic_segmentation",
        "swa",
        "swag",
        "test_time_augmentation",
        "vector_scaling",
    ]
    for name in method_names():
        schema = settings_schema(method_class(name))
        assert {*schema} == {s.name for s in fields(method_class(name))}


def test_schema_of_a_variant_has_each_of_its_settings() -> None:
    found = {}
    for name in method_names():
        with contextlib.suppress(KeyError):
            found[name] = variant_class(name)
    assert sorted(found) == [
        "bayes_by_backprop",
        "calibrated_ensemble",
        "evidential",
        "hmc",
        "layer_ensemble",
        "stochastic_segmentation",
    ]
    for variant in found.values():
        assert {*settings_schema(variant)} == {setting.name for setting in fields(variant)}


@pytest.mark.parametrize("name", ["svgd", "base", "../x", "single.yaml"])
def test_unknown_method_is_a_key_error(name: str) -> None:
    with pytest.raises(KeyError, match=re.escape(name)):
        method_class(name)


def test_method_that_trains_as_any_has_no_variant() -> None:
    with pytest.raises(KeyError, match="swa"):
        variant_class("swa")


def test_method_may_be_a_file_of_the_user_s(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text(
        "from cardiouq.methods.deep_ensemble import Method  # noqa: F401\n", encoding="utf-8"
    )
    method = build_method({"method": str(file), "label": "x", "recipe": "y", "size": 3})
    assert method.members() == [Member(0), Member(1), Member(2)]


def test_a_method_asks_its_run_only_for_epochs_it_told_it_to_keep() -> None:
    for block in (
        {"method": "checkpoint_ensemble", "cycles": 3, "checkpoints": 5, "step": 2},
        {"method": "swa", "checkpoints": 7, "step": 3},
    ):
        _, runs = draw(block, CYCLICAL)
        asked = [
            e for entry in runs[0].asked for e in (entry if isinstance(entry, list) else [entry])
        ]
        assert asked == build_method(block).checkpoint_epochs(CYCLICAL)
