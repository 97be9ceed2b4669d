"""A run's folder changes with what the run depends on, and with nothing else."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from cardiouq.study import Study

Settings = dict[str, Any]
MakeStudy = Callable[[Settings], Study]


def keys(study: Study) -> dict[str, str]:
    return {recipe: study.key(recipe) for recipe in study["recipes"]}


def changed_recipes(make_study: MakeStudy, before: Settings, after: Settings) -> set[str]:
    old, new = keys(make_study(before)), keys(make_study(after))
    return {recipe for recipe in old if old[recipe] != new[recipe]}


@pytest.mark.parametrize("recipe", ["polynomial", "dropout", "cyclical"])
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("batch_size", 5),
        ("iterations_per_epoch", 3),
        ("foreground_share", 0.5),
        ("dropout", {"p": 0.25, "place": "all"}),
        ("optimiser", {"name": "sgd", "momentum": 0.9, "weight_decay": 0.0}),
        ("validation_batches", 2),
    ],
)
def test_key_changes_for_the_recipe_that_changed_alone(
    make_study: MakeStudy, tiny: Settings, recipe: str, key: str, value: Any
) -> None:
    after = deepcopy(tiny)
    after["recipes"][recipe][key] = value
    assert changed_recipes(make_study, tiny, after) == {recipe}


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("seed", 1),
        ("split", {"dataset": "phantom-acdc", "validation_fraction": 0.4}),
        ("phantom", {"acdc_subjects": 15, "mnms_subjects_per_vendor": 2}),
    ],
)
def test_data_and_seed_change_every_key(
    make_study: MakeStudy, tiny: Settings, part: str, value: Any
) -> None:
    assert changed_recipes(make_study, tiny, tiny | {part: value}) == set(tiny["recipes"])


def change_labels(settings: Settings) -> None:
    settings["title"] = "Another title"
    settings["methods"]["vanilla"]["label"] = "Plain"


def change_reporting(settings: Settings) -> None:
    settings["reporting"]["tsne"]["perplexity"] = 5
    settings["evaluation"]["ece"] |= {"bins": 15, "pool": "volumes"}


def change_prediction(settings: Settings) -> None:
    settings["prediction"]["tile_overlap"] = 0.25
    settings["methods"]["temperature_scaling"]["temperature"] = 2
    settings["methods"]["mc_dropout"]["passes"] = 9


def change_members(settings: Settings) -> None:
    settings["methods"]["deep_ensemble"]["size"] = 4


def change_test_sets(settings: Settings) -> None:
    del settings["test_sets"]["phantom-B"]
    settings["test_sets"]["phantom-A"]["label"] = "A"


def change_order(settings: Settings) -> None:
    for part in ("recipes", "methods", "test_sets", "datasets"):
        settings[part] = dict(reversed(settings[part].items()))


@pytest.mark.parametrize(
    "change",
    [
        change_labels,
        change_reporting,
        change_prediction,
        change_members,
        change_test_sets,
        change_order,
    ],
)
def test_key_does_not_change_with_what_comes_after_training(
    make_study: MakeStudy, tiny: Settings, change: Callable[[Settings], None]
) -> None:
    after = deepcopy(tiny)
    change(after)
    assert changed_recipes(make_study, tiny, after) == set()


def test_further_data_set_to_test_on_trains_nothing_again(
    make_study: MakeStudy, tiny: Settings
) -> None:
    after = deepcopy(tiny)
    after["datasets"]["other"] = {"layout": "mnms", "source": "mnms_root"}
    after["test_sets"]["other"] = after["test_sets"]["phantom-A"] | {"dataset": "other"}
    assert changed_recipes(make_study, tiny, after) == set()


def test_checkpoints_that_were_not_kept_need_another_run(
    make_study: MakeStudy, tiny: Settings
) -> None:
    after = deepcopy(tiny)
    after["methods"]["checkpoint_ensemble_multi"]["checkpoints"] = 1
    after["methods"]["checkpoint_ensemble_single"]["checkpoints"] = 1
    assert changed_recipes(make_study, tiny, after) == {"cyclical"}


def test_a_run_keeps_the_epochs_that_its_methods_draw(
    make_study: MakeStudy, tiny: Settings
) -> None:
    study = make_study(tiny)
    assert study.keep_epochs("polynomial") == [7]
    assert study.keep_epochs("cyclical") == [2, 3, 6, 7, 10, 11]


def test_methods_of_one_recipe_share_its_runs(make_study: MakeStudy, tiny: Settings) -> None:
    study = make_study(tiny)
    first = study.run_folder("polynomial", 0)
    assert study.run_folders("vanilla") == study.run_folders("temperature_scaling") == [first]
    assert study.run_folders("deep_ensemble") == [first, study.run_folder("polynomial", 1)]
    assert study.run_folders("swa") == study.run_folders("checkpoint_ensemble_multi")
    folders = list(study.all_run_folders().values())
    assert len(folders) == len(set(folders)) == 4


def test_removed_method_trains_nothing_again(make_study: MakeStudy, tiny: Settings) -> None:
    after = deepcopy(tiny)
    del after["methods"]["temperature_scaling"]
    del after["methods"]["deep_ensemble"]
    assert changed_recipes(make_study, tiny, after) == set()
