"""A run's folder changes with what the run depends on, and with nothing else."""

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cardiouq.methods.base import Member
from cardiouq.study.runs import needed_checkpoints, needed_runs
from cardiouq.study.study import Study
from tests.paths import TINY
from tests.study.changes import reversed_keys

Settings = dict[str, Any]
MakeStudy = Callable[[Settings], Study]


FOLDS = [Member(fold=fold, folds=2) for fold in range(2)]
OF_FOLDS = ("cv_ensemble", "temperature_fitted", "vector_scaling", "isotonic")
BRANCHES = [replace(fold, branch=w) for fold in FOLDS for w in (-1, 1)]


def keys(study: Study) -> dict[tuple[str, Member], str]:
    return {
        (recipe, member): study.key(recipe, member)
        for recipe in study["recipes"]
        for member in study.members(recipe)
    }


def changed_runs(
    make_study: MakeStudy, before: Settings, after: Settings
) -> set[tuple[str, Member]]:
    """Runs of both studies that are not the same run."""
    old, new = keys(make_study(before)), keys(make_study(after))
    return {run for run in old.keys() & new.keys() if old[run] != new[run]}


def changed_recipes(make_study: MakeStudy, before: Settings, after: Settings) -> set[str]:
    return {recipe for recipe, _ in changed_runs(make_study, before, after)}


@pytest.mark.parametrize("recipe", ["polynomial", "dropout", "cyclical", "biased"])
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("batch_size", 5),
        ("iterations_per_epoch", 3),
        ("foreground_share", 0.5),
        ("dropout", {"p": 0.25, "place": "all"}),
        ("optimiser", {"name": "adamw", "weight_decay": 0.5}),
        ("validation_batches", 2),
    ],
)
def test_key_changes_for_the_recipe_that_changed_alone(
    make_study: MakeStudy, tiny: Settings, recipe: str, key: str, value: Any
) -> None:
    after = deepcopy(tiny)
    changed = {recipe}
    if recipe == "polynomial":  # and those that branch from its runs
        changed |= {"biased"}
    if recipe in ("polynomial", "biased") and key in ("dropout", "optimiser"):
        changed = {"polynomial", "biased"}  # a branch has its base's
    for name in changed if key in ("dropout", "optimiser") else {recipe}:
        after["recipes"][name][key] = value
    assert changed_recipes(make_study, tiny, after) == changed


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("bayes_by_backprop", "variant", "kl_weight"), 1),
        (("hmc", "variant", "temperature"), 1),
        (("hmc", "optimiser", "momentum"), 0.5),
        (("dropout", "variant"), {"name": "calibrated_ensemble"}),
    ],
)
def test_key_changes_with_the_variant(
    make_study: MakeStudy, tiny: Settings, place: tuple[str, ...], value: Any
) -> None:
    recipe, block, *key = place
    after = deepcopy(tiny)
    if key:
        after["recipes"][recipe][block][key[0]] = value
    else:
        after["recipes"][recipe][block] = value
    assert changed_recipes(make_study, tiny, after) == {recipe}


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("seed", 1),
        ("split", {"dataset": "phantom-acdc", "validation_fraction": 0.4}),
        ("split", {"dataset": "phantom-acdc", "validation_fraction": 0.3}),
        ("phantom", {"acdc_subjects": 15, "mnms_subjects_per_vendor": 2}),
    ],
)
def test_data_and_seed_change_every_key(
    make_study: MakeStudy, tiny: Settings, part: str, value: Any
) -> None:
    assert changed_recipes(make_study, tiny, tiny | {part: value}) == set(tiny["recipes"])


def change_labels(settings: Settings) -> None:
    settings["title"] = "Another title"
    settings["methods"]["vanilla"] |= {"label": "Plain", "colour": "#123456"}


def change_reporting(settings: Settings) -> None:
    settings["reporting"] |= {"tsne": {"perplexity": 5}, "reference": "deep_ensemble"}
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


def change_distortions(settings: Settings) -> None:
    settings["distortions"]["kinds"]["blur"] = [1, 2]


def change_order(settings: Settings) -> None:
    changed = reversed_keys(settings)
    settings.clear()
    settings.update(changed)


@pytest.mark.parametrize(
    "change",
    [
        change_labels,
        change_reporting,
        change_prediction,
        change_members,
        change_test_sets,
        change_distortions,
        change_order,
    ],
)
@pytest.mark.usefixtures("order_kept")
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
    changed = {"dataset": "other", "label": "Other"}
    after["test_sets"]["other"] = after["test_sets"]["phantom-A"] | changed
    assert changed_recipes(make_study, tiny, after) == set()


def test_own_scans_that_were_moved_train_nothing_again(
    make_study: MakeStudy, tiny: Settings
) -> None:
    def of(**changed: Any) -> Study:
        settings = {key: value for key, value in deepcopy(tiny).items() if key != "phantom"}
        for block in (settings["reporting"], *settings["test_sets"].values()):
            block["published"] = None
        for dataset in settings["datasets"].values():
            dataset |= {"layout": "csv", "source": "./here", "labels": {"RV": 1}} | changed
        return make_study(settings)

    assert keys(of(source="/elsewhere/scans")) == keys(of())
    assert keys(of(labels={"RV": 2})) != keys(of())


def test_checkpoints_that_were_not_kept_need_another_run(
    make_study: MakeStudy, tiny: Settings
) -> None:
    after = deepcopy(tiny)
    for name in ("checkpoint_ensemble_multi", "checkpoint_ensemble_single", "multi_swag"):
        after["methods"][name]["checkpoints"] = 1
    assert changed_recipes(make_study, tiny, after) == {"cyclical"}


def test_a_run_keeps_the_epochs_that_its_methods_draw(
    make_study: MakeStudy, tiny: Settings
) -> None:
    study = make_study(tiny)
    assert study.keep_epochs("polynomial", Member()) == [7]
    assert study.keep_epochs("cyclical", Member()) == [2, 3, 6, 7, 10, 11]
    assert study.keep_epochs("hmc", Member()) == [3, 7, 11]
    assert study.keep_epochs("biased", BRANCHES[0]) == [7]


def test_members_of_a_recipe_keep_what_their_own_methods_draw(
    make_study: MakeStudy, tiny: Settings
) -> None:
    tiny["methods"]["cv_ensemble"]["recipe"] = "cyclical"
    study = make_study(tiny)
    assert study.keep_epochs("cyclical", Member()) == [2, 3, 6, 7, 10, 11]
    assert study.keep_epochs("cyclical", FOLDS[0]) == [11]
    assert study.keep_epochs("cyclical", Member(1)) == []
    run = json.loads(study.run_settings("cyclical", FOLDS[1]))
    assert (run["member"], run["keep_epochs"]) == ("0-fold-1-of-2", [11])


# 0.75 of 8 epochs are shared: 0 to 5
@pytest.mark.parametrize(("at", "epoch"), [(0.75, 5), (0.5, 3), (0.7, 5), (0.01, 0), (0.99, 6)])
def test_base_keeps_its_state_after_the_shared_epochs(
    make_study: MakeStudy, tiny: Settings, at: float, epoch: int
) -> None:
    tiny["recipes"]["biased"]["branch"]["at"] = at
    study = make_study(tiny)
    assert study.branch_epoch("biased") == epoch
    assert study.branch_epochs("polynomial", FOLDS[1]) == [epoch]
    assert study.branch_epochs("polynomial", Member()) == []
    assert study.branch_epochs("biased", BRANCHES[0]) == []


def test_branch_starts_from_the_state_of_its_fold_s_base(
    make_study: MakeStudy, tiny: Settings
) -> None:
    study = make_study(tiny)
    for fold, branch in ((FOLDS[0], BRANCHES[1]), (FOLDS[1], BRANCHES[2])):
        folder = study.run_folder("polynomial", fold)
        assert study.base_run("biased", branch) == ("polynomial", fold)
        assert study.base_folder("biased", branch) == [folder]
        settings = json.loads(study.run_settings("biased", branch))
        assert settings["base"] == f"{folder}/states/epoch-0005.safetensors"
        base = json.loads(study.run_settings("polynomial", fold))
        assert (base["base"], base["branch_epochs"]) == (None, [5])
    assert study.base_run("polynomial", Member()) is None
    assert study.base_folder("polynomial", Member()) == []


def test_base_runs_are_runs_of_the_study(make_study: MakeStudy, tiny: Settings) -> None:
    for method in OF_FOLDS:  # which draw from the same runs
        del tiny["methods"][method]
    study = make_study(tiny)
    assert study.members("polynomial") == [Member(), *FOLDS, Member(1)]
    runs = study.all_run_folders()
    for fold in FOLDS:
        assert runs[f"polynomial, seed {fold}"] == study.run_folder("polynomial", fold)
        assert study.keep_epochs("polynomial", fold) == []
        assert study.branch_epochs("polynomial", fold) == [5]
    assert set(study.run_folders("calibrated_ensemble")) == {
        study.run_folder("biased", branch) for branch in BRANCHES
    }


def test_two_recipes_may_branch_from_one_run(make_study: MakeStudy, tiny: Settings) -> None:
    early = deepcopy(tiny["recipes"]["biased"]) | {"branch": {"from": "polynomial", "at": 0.5}}
    tiny["recipes"]["early"] = early
    changed = {"recipe": "early", "label": "Early"}
    tiny["methods"]["early"] = tiny["methods"]["calibrated_ensemble"] | changed
    assert make_study(tiny).branch_epochs("polynomial", FOLDS[0]) == [3, 5]


def test_further_members_leave_the_runs_that_are_there_alone(
    make_study: MakeStudy, tiny: Settings
) -> None:
    """Folds and branches beside the plain runs of one recipe."""
    before = deepcopy(tiny)
    for method in (*OF_FOLDS, "calibrated_ensemble"):
        del before["methods"][method]
    before["methods"]["deep_ensemble"]["size"] = 1
    del before["methods"]["vanilla"]["repeats"]
    old, new = make_study(before), make_study(tiny)
    assert old.members("polynomial") == [Member()]
    assert new.members("polynomial") == [Member(), *FOLDS, Member(1)]
    assert changed_runs(make_study, before, tiny) == set()


def test_branches_need_their_base_and_no_other_run_anew(
    make_study: MakeStudy, tiny: Settings
) -> None:
    before = deepcopy(tiny)
    del before["methods"]["calibrated_ensemble"]  # cv_ensemble has the same folds
    assert changed_runs(make_study, before, tiny) == {("polynomial", fold) for fold in FOLDS}


def test_another_place_to_branch_trains_bases_and_branches_anew(
    make_study: MakeStudy, tiny: Settings
) -> None:
    after = deepcopy(tiny)
    after["recipes"]["biased"]["branch"]["at"] = 0.5
    assert changed_runs(make_study, tiny, after) == {
        *(("polynomial", fold) for fold in FOLDS),
        *(("biased", branch) for branch in BRANCHES),
    }


def test_further_branches_train_nothing_that_is_there_anew(
    make_study: MakeStudy, tiny: Settings
) -> None:
    after = deepcopy(tiny)
    after["methods"]["calibrated_ensemble"]["w"] = [-1, 0, 1]
    assert changed_runs(make_study, tiny, after) == set()
    assert len(make_study(after).members("biased")) == 6


def test_method_of_the_user_s_is_found_beside_the_study(
    make_study: MakeStudy, tiny: Settings, tmp_path: Path
) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "twice.py").write_text(
        "from cardiouq.methods.base import BaseVariant\n"
        "from cardiouq.methods.deep_ensemble import Method\n"
        "class Variant(BaseVariant):\n    pass\n",
        encoding="utf-8",
    )
    before = deepcopy(tiny)
    tiny["recipes"]["dropout"]["variant"] = {"name": "own/twice.py"}
    twice = {"method": "own/twice.py", "label": "Twice", "recipe": "dropout", "size": 2}
    tiny["methods"]["mc_dropout"] = twice
    study = make_study(tiny)
    assert study.methods["mc_dropout"].members() == [Member(0), Member(1)]
    assert study.members("dropout") == [Member(0), Member(1)]
    assert changed_recipes(make_study, before, tiny) == {"dropout"}


def test_user_s_file_in_a_block_that_recipes_share_is_found_from_a_relative_study(
    tmp_path: Path, local_config: Settings, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = TINY.read_text(encoding="utf-8")
    place = "dropout: {p: 0.0, place: all}\n"
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "own.yaml").write_text(
        text.replace(place, f"{place}    variant: {{name: own.py}}\n", 1), encoding="utf-8"
    )
    (tmp_path / "studies" / "own.py").write_text(
        "from cardiouq.methods.base import BaseVariant as Variant  # noqa: F401\n", encoding="utf-8"
    )
    monkeypatch.chdir(tmp_path)
    study = Study("studies/own.yaml", local_config, repository / "config")
    for recipe in ("polynomial", "cyclical"):  # the second merges the first
        assert study["recipes"][recipe]["variant"] == {"name": "studies/own.py"}


def test_methods_of_one_recipe_share_its_runs(make_study: MakeStudy, tiny: Settings) -> None:
    study = make_study(tiny)
    first = study.run_folder("polynomial", Member())
    assert study.run_folders("vanilla") == study.run_folders("temperature_scaling") == [first]
    assert study.run_folders("deep_ensemble") == [first, study.run_folder("polynomial", Member(1))]
    assert study.run_folders("swa") == study.run_folders("checkpoint_ensemble_multi")
    folds = [study.run_folder("polynomial", fold) for fold in FOLDS]
    assert study.run_folders("cv_ensemble") == folds
    assert study.run_folders("temperature_fitted") == [first, *folds]
    folders = list(study.all_run_folders().values())
    # 4 polynomial, 4 biased, and one of each of the 9 other recipes
    assert len(folders) == len(set(folders)) == 17


def test_removed_method_trains_nothing_again(make_study: MakeStudy, tiny: Settings) -> None:
    after = deepcopy(tiny)
    del after["methods"]["temperature_scaling"]
    del after["methods"]["deep_ensemble"]
    assert changed_recipes(make_study, tiny, after) == set()


def test_repeats_have_the_next_seeds_and_share_runs_with_ensembles(
    make_study: MakeStudy, tiny: Settings
) -> None:
    tiny["methods"]["vanilla"]["repeats"] = 3
    tiny["methods"]["temperature_fitted"]["repeats"] = 2
    tiny["methods"]["deep_ensemble"]["repeats"] = 2
    study = make_study(tiny)
    assert study.repeats.keys() == {
        "vanilla-repeat-2",
        "vanilla-repeat-3",
        "temperature_fitted-repeat-2",
        "deep_ensemble-repeat-2",
    }
    assert [study.method_members(f"vanilla-repeat-{k}") for k in (2, 3)] == [
        [Member(1)],
        [Member(2)],
    ]
    assert study.method_members("deep_ensemble-repeat-2") == [Member(2), Member(3)]
    assert study.method_members("temperature_fitted-repeat-2") == [
        Member(1),
        *(replace(fold, seed=1) for fold in FOLDS),
    ]
    assert study.run_folders("vanilla-repeat-2") == study.run_folders("deep_ensemble")[1:]
    settings = json.loads(study.prediction_settings("vanilla-repeat-2"))
    assert settings["members"] == ["1"]
    assert settings["method"] == {"method": "single"}
    first = json.loads(study.prediction_settings("vanilla"))
    assert first["sampling_seed"] == first["seed"] == settings["seed"]
    assert settings["sampling_seed"] not in (first["seed"], None)


@pytest.mark.usefixtures("order_kept")
def test_jobs_are_given_the_same_text_whatever_the_order_of_keys(
    make_study: MakeStudy, tiny: Settings
) -> None:
    """Which Snakemake compares as it is."""

    def texts() -> set[str]:
        study = make_study(tiny)
        return {
            *(study.run_settings(*run) for run in keys(study)),
            *(study.prediction_settings(name) for name in (*study.methods, *study.repeats)),
        }

    before = texts()
    change_order(tiny)
    assert texts() == before


def test_how_often_a_method_is_repeated_and_how_it_is_shown_predicts_nothing_again(
    make_study: MakeStudy, tiny: Settings
) -> None:
    before = make_study(tiny).prediction_settings("vanilla")
    tiny["methods"]["vanilla"] |= {"repeats": 5, "label": "Plain", "colour": "#123456"}
    assert make_study(tiny).prediction_settings("vanilla") == before


def test_repeats_leave_the_first_runs_as_they_are(make_study: MakeStudy, tiny: Settings) -> None:
    after = deepcopy(tiny)
    after["methods"]["vanilla"]["repeats"] = 5
    after["methods"]["mc_dropout"]["repeats"] = 2
    before, now = keys(make_study(tiny)), keys(make_study(after))
    assert {run: now[run] for run in before} == before
    assert now.keys() - before.keys() == {
        *(("polynomial", Member(seed)) for seed in (2, 3, 4)),
        ("dropout", Member(1)),
    }


@pytest.mark.parametrize(
    ("method", "runs"),
    [
        ("vanilla", {"seed-0": 7}),
        ("temperature_fitted", {"seed-0": 7, "seed-0-fold-0-of-2": 7, "seed-0-fold-1-of-2": 7}),
        ("deep_ensemble", {"seed-0": 7, "seed-1": 7}),
        ("hmc_cp", {"seed-0": 11}),
        (
            "calibrated_ensemble",
            {
                # members share the run of their fold, which counts to three quarters of 8 epochs
                **{f"seed-0-fold-{k}-of-2-branch{w}": 7 for k in (0, 1) for w in ("-1", "+1")},
                **{f"seed-0-fold-{k}-of-2": 5 for k in (0, 1)},
            },
        ),
    ],
)
def test_each_run_is_needed_once(
    tiny: dict[str, Any], make_study: MakeStudy, method: str, runs: dict[str, int]
) -> None:
    needed = needed_runs(make_study(tiny), method)
    found = {Path(run["folder"]).name: run["last_epoch"] for run in needed}
    assert len(needed) == len(found)
    assert found == runs
    assert {run["iterations_per_epoch"] for run in needed} == {4}


def test_base_run_counts_with_its_own_recipe(tiny: dict[str, Any], make_study: MakeStudy) -> None:
    tiny["recipes"]["polynomial"]["iterations_per_epoch"] = 5
    needed = needed_runs(make_study(tiny), "calibrated_ensemble")
    of_recipe = {
        Path(r["folder"]).parent.name.split("-")[0]: r["iterations_per_epoch"] for r in needed
    }
    assert of_recipe == {"biased": 4, "polynomial": 5}


def test_checkpoints_are_those_of_every_run_and_epoch(
    tiny: dict[str, Any], make_study: MakeStudy
) -> None:
    study = make_study(tiny)
    [folder] = study.run_folders("swa")
    assert needed_checkpoints(study, "swa") == [
        f"{folder}/checkpoints/epoch-00{epoch}.safetensors" for epoch in (10, 11)
    ]
    assert len(needed_checkpoints(study, "calibrated_ensemble")) == 4
