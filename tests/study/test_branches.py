"""A run that branches can go on from its base's state, or the study is refused."""

import pytest

from tests.study.changes import MakeStudy, Settings, problems_of


def test_method_of_branches_needs_a_recipe_that_branches(
    make_study: MakeStudy, tiny: Settings
) -> None:
    del tiny["recipes"]["biased"]["branch"]
    assert problems_of(make_study, tiny) == [
        "methods.calibrated_ensemble.recipe: 'biased' has no `branch`, which "
        "calibrated_ensemble needs"
    ]


def test_method_of_whole_runs_needs_a_recipe_without_a_branch(
    make_study: MakeStudy, tiny: Settings
) -> None:
    tiny["methods"]["deep_ensemble"]["recipe"] = "biased"
    assert problems_of(make_study, tiny) == [
        "methods.deep_ensemble.recipe: 'biased' has a `branch`, which deep_ensemble does not use"
    ]


def test_branch_from_a_branch_is_refused(make_study: MakeStudy, tiny: Settings) -> None:
    tiny["recipes"]["twig"] = tiny["recipes"]["biased"] | {"branch": {"from": "biased", "at": 0.9}}
    assert problems_of(make_study, tiny) == [
        "recipes.twig.branch.from: 'biased' is a branch itself"
    ]


def test_branch_from_itself_is_refused(make_study: MakeStudy, tiny: Settings) -> None:
    tiny["recipes"]["biased"]["branch"]["from"] = "biased"
    assert problems_of(make_study, tiny) == [
        "recipes.biased.branch.from: 'biased' is a branch itself"
    ]


def test_branch_with_another_optimiser_than_its_base_is_refused(
    make_study: MakeStudy, tiny: Settings
) -> None:
    tiny["recipes"]["biased"]["optimiser"] = {"name": "adamw", "weight_decay": 0.5}
    assert problems_of(make_study, tiny) == [
        "recipes.biased.optimiser: {'name': 'adamw', 'weight_decay': 0.5}; expected the "
        "{'name': 'adamw', 'weight_decay': 0.01} of its base"
    ]


def test_branch_of_another_length_than_its_base_is_refused(
    make_study: MakeStudy, tiny: Settings
) -> None:
    tiny["recipes"]["biased"]["schedule"]["epochs"] = 9
    assert problems_of(make_study, tiny) == [
        "recipes.biased.schedule.epochs: 9; expected the 8 of the recipe that it branches from"
    ]


@pytest.mark.parametrize("of_base", [True, False])
def test_branch_has_its_base_s_heads(make_study: MakeStudy, tiny: Settings, of_base: bool) -> None:
    """Else the optimiser has no state of those that the base did not train."""
    tiny["recipes"]["polynomial"]["deep_supervision"] = of_base
    tiny["recipes"]["biased"]["deep_supervision"] = not of_base
    assert problems_of(make_study, tiny) == [
        f"recipes.biased.deep_supervision: {not of_base}; expected the {of_base} of its base"
    ]


def test_branch_from_another_network_is_refused(make_study: MakeStudy, tiny: Settings) -> None:
    tiny["recipes"]["biased"]["branch"]["from"] = "evidential"
    assert problems_of(make_study, tiny) == [
        "recipes.biased.branch.from: 'evidential' has the variant 'evidential', whose networks "
        "only its own method can go on with"
    ]


def test_branch_from_a_single_epoch_is_refused(make_study: MakeStudy, tiny: Settings) -> None:
    for recipe in ("polynomial", "biased"):
        tiny["recipes"][recipe]["schedule"] = tiny["recipes"][recipe]["schedule"] | {"epochs": 1}
    assert (
        "recipes.biased.branch: expected 2 epochs or more, as base and branch train one each"
        in problems_of(make_study, tiny)
    )
