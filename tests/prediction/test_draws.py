"""Which members and epochs each method draws, with the paper's settings."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from cardiouq.methods import build_method, method_class, method_names
from cardiouq.methods.base import Sample
from cardiouq.training.schedule import CyclicalSchedule, PolynomialSchedule

POLYNOMIAL = PolynomialSchedule(epochs=1000)
CYCLICAL = CyclicalSchedule(epochs=1200)


@dataclass
class RecordedRun:
    """Remembers which networks were asked of it."""

    member: int
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
    return [sample for sample, _ in method.samples(runs, schedule)], runs


def test_vanilla_is_the_last_epoch_of_the_first_member() -> None:
    samples, _ = draw({"method": "single"}, POLYNOMIAL)
    assert samples == [Sample(0, 999)]


def test_temperature_scaling_is_vanilla_s_network() -> None:
    block = {"method": "single", "temperature": 1.5}
    assert draw(block, POLYNOMIAL)[0] == draw({"method": "single"}, POLYNOMIAL)[0]
    assert build_method(block).temperature == 1.5
    assert build_method({"method": "single"}).temperature == 1.0


def test_deep_ensemble_is_the_last_epoch_of_five_members() -> None:
    samples, runs = draw({"method": "deep_ensemble", "size": 5}, POLYNOMIAL)
    assert samples == [Sample(member, 999) for member in range(5)]
    assert [run.asked for run in runs] == [[999]] * 5


def test_mc_dropout_passes_one_network_thirty_times() -> None:
    samples, runs = draw({"method": "mc_dropout", "passes": 30}, POLYNOMIAL)
    assert samples == [Sample(0, 999)] * 30
    assert [run.asked for run in runs] == [[999]]


def test_single_is_every_second_of_the_last_sixty_epochs() -> None:
    block = {"method": "checkpoint_ensemble", "cycles": 1, "checkpoints": 30, "step": 2}
    samples, _ = draw(block, CYCLICAL)
    assert samples == [Sample(0, epoch) for epoch in range(1141, 1200, 2)]


def test_multi_is_ten_epochs_of_each_cycle() -> None:
    block = {"method": "checkpoint_ensemble", "cycles": 3, "checkpoints": 10, "step": 1}
    samples, _ = draw(block, CYCLICAL)
    ends = (400, 800, 1200)
    assert samples == [Sample(0, epoch) for end in ends for epoch in range(end - 10, end)]


def test_fewer_cycles_than_the_recipe_s_are_the_last_ones() -> None:
    block = {"method": "checkpoint_ensemble", "cycles": 2, "checkpoints": 1, "step": 1}
    assert [sample.epoch for sample in draw(block, CYCLICAL)[0]] == [799, 1199]


def test_swa_is_one_network_of_the_same_epochs_as_single() -> None:
    samples, runs = draw({"method": "swa", "checkpoints": 30, "step": 2}, CYCLICAL)
    assert samples == [Sample(0, 1199)]
    assert runs[0].asked == [list(range(1141, 1200, 2))]


@pytest.mark.parametrize(
    "block",
    [
        {"method": "swa", "checkpoints": 81, "step": 1},
        {"method": "checkpoint_ensemble", "cycles": 1, "checkpoints": 41, "step": 2},
        {"method": "checkpoint_ensemble", "cycles": 4, "checkpoints": 1, "step": 1},
    ],
)
def test_more_checkpoints_or_cycles_than_there_are_is_an_error(block: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"constant phase|cycles"):
        build_method(block).checkpoint_epochs(CYCLICAL)


def test_every_file_of_the_folder_is_a_method() -> None:
    assert method_names() == ["checkpoint_ensemble", "deep_ensemble", "mc_dropout", "single", "swa"]
    for name in method_names():
        assert {*method_class(name).schema} <= {*method_class(name).__dataclass_fields__}


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
