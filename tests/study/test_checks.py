"""A study whose settings contradict one another is refused in words that help."""

from pathlib import Path

import pytest

from cardiouq.evaluation.calibration import TOP_LABEL
from cardiouq.structures import ALL, BACKGROUND, FOREGROUND, MEAN
from tests.study.changes import MakeStudy, Settings, problems_of, set_key


def hold_out_test_subjects(settings: Settings) -> None:
    """Give the split a side for tests, and the phantom subjects enough for three sides."""
    settings["split"] |= {"validation_fraction": 0.3, "test_fraction": 0.3}
    settings["phantom"]["acdc_subjects"] = 20


def test_tiny_study_as_it_stands_is_no_error(make_study: MakeStudy, tiny: Settings) -> None:
    assert make_study(tiny).name == "changed"


@pytest.mark.parametrize(
    ("place", "value", "allowed"),
    [
        ("methods.vanilla.recipe", "polynomal", "polynomial"),
        ("methods.vanilla.method", "singel", "checkpoint_ensemble"),
        ("split.dataset", "acdc", "phantom-acdc"),
        ("reporting.reference", "Vanilla", "vanilla"),
        ("test_sets.phantom-B.dataset", "mnms", "phantom-mnms"),
        ("recipes.cyclical.schedule.name", "cosine", "cyclical"),
        ("recipes.dropout.dropout.place", "deepest", "bottleneck"),
        ("recipes.polynomial.optimiser.name", "adam", "adamw"),
        ("evaluation.ece.pool", "slices", "volumes"),
        ("datasets.phantom-acdc.layout", "nnunet", "acdc"),
        ("recipes.hmc.variant.name", "hmcc", "hmc"),
        ("recipes.biased.branch.from", "polynomal", "polynomial"),
        ("test_sets.phantom-val.split", "held_out", "test"),
        ("distortions.test_set", "phantom", "phantom-val"),
    ],
)
def test_unknown_name_is_named_with_those_allowed(
    make_study: MakeStudy, tiny: Settings, place: str, value: str, allowed: str
) -> None:
    problems = [p for p in problems_of(make_study, set_key(tiny, place, value)) if place in p]
    assert len(problems) == 1
    assert f"{place}: {value!r} is not one of" in problems[0]
    assert allowed in problems[0].split("is not one of")[1]


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [("methods", "vanilla", "swa"), ("test_sets", "phantom-val", "phantom-B")],
)
def test_label_of_two_is_refused(
    make_study: MakeStudy, tiny: Settings, kind: str, first: str, second: str
) -> None:
    label = tiny[kind][first]["label"]
    tiny[kind][second]["label"] = label
    # YAML's writer sorts the keys
    first, second = sorted((first, second))
    assert problems_of(make_study, tiny) == [
        f"{kind}.{second}.label: {label!r} is the label of {kind}.{first} too, and tables and "
        "figures tell them apart by it; change one"
    ]
    tiny[kind][second]["label"] = f"{label}, another"
    assert make_study(tiny)


def test_method_may_have_the_label_of_a_test_set(make_study: MakeStudy, tiny: Settings) -> None:
    tiny["methods"]["vanilla"]["label"] = tiny["test_sets"]["phantom-val"]["label"]
    assert make_study(tiny)


def test_source_that_is_no_path_is_refused_and_the_folder_of_that_name_spelt(
    make_study: MakeStudy, tiny: Settings, tmp_path: Path
) -> None:
    set_key(tiny, "datasets.phantom-mnms.source", "cohort")
    [problem] = problems_of(make_study, tiny)
    known = ["acdc_root", "mnms_root", "phantom", "ukbb_root"]
    said = (
        f"datasets.phantom-mnms.source: 'cohort' is not one of {known}, nor a path, which has a `/`"
    )
    assert problem == said
    (tmp_path / "cohort").mkdir()
    [problem] = problems_of(make_study, tiny)
    assert problem == f"{said}; for the folder beside the study's file write ./cohort"
    assert make_study(set_key(tiny, "datasets.phantom-mnms.source", "./cohort"))


@pytest.mark.parametrize("name", ["ignore", "Ignore", "void", "unlabeled", "notAnnotated"])
def test_what_nobody_annotated_is_no_structure(
    make_study: MakeStudy, tiny: Settings, name: str
) -> None:
    tiny["structures"] = ["RV", "MYO", "LV", name]
    limits = tiny["evaluation"]["poor"]["slice"]
    limits[name] = 1.0
    [problem] = problems_of(make_study, tiny)
    assert problem.startswith(f"structures: {name!r} is no structure; what nobody annotated is")


@pytest.mark.parametrize(
    ("kinds", "problem"),
    [
        ({"nois": [0.05]}, "distortions.kinds: 'nois' is not one of ['bias_field', 'blur'"),
        ({"noise": [0.1, 0.05]}, "distortions.kinds.noise: [0.1, 0.05] does not grow"),
        ({"noise": [0.1, 0.1]}, "distortions.kinds.noise: [0.1, 0.1] does not grow"),
        ({"noise": [0]}, "distortions.kinds.noise.0: 0"),  # that is the scan itself
        ({"stretch": [0.5, 3]}, "distortions.kinds.stretch: A stretch of degree 3 folds"),
        ({"noise": []}, "distortions.kinds.noise: "),
    ],
)
def test_distortion_that_is_none_is_refused(
    make_study: MakeStudy, tiny: Settings, kinds: Settings, problem: str
) -> None:
    tiny["distortions"]["kinds"] = kinds
    [found] = problems_of(make_study, tiny)
    assert found.startswith(problem)


@pytest.mark.parametrize("degree", ["noise-3", "noise-0", "noise", "blur-1"])
def test_degree_that_the_study_has_not_stands_beside_no_paper_s(
    make_study: MakeStudy, tiny: Settings, degree: str
) -> None:
    tiny["distortions"]["published"] = {"noise-2": "noise-large", degree: "noise-slight"}
    assert problems_of(make_study, tiny) == [
        f"distortions.published: {degree!r} is not one of ['noise-1', 'noise-2', 'stretch-1']"
    ]
    del tiny["distortions"]["published"][degree]
    assert make_study(tiny)


@pytest.mark.parametrize("read", ["swaa", "checkpoint_ensemble_multi"])
def test_a_method_is_another_reading_of_one_of_the_study_s_own(
    make_study: MakeStudy, tiny: Settings, read: str
) -> None:
    tiny["methods"]["checkpoint_ensemble_multi"]["reading_of"] = "checkpoint_ensemble_single"
    assert make_study(tiny)
    tiny["methods"]["swa"]["reading_of"] = read
    [problem] = problems_of(make_study, tiny)
    assert problem.startswith(f"methods.swa.reading_of: {read!r} is not one of ['bbb', ")


def test_scale_whose_ends_are_swapped_is_refused(make_study: MakeStudy, tiny: Settings) -> None:
    tiny["recipes"]["cyclical"]["augmentation"]["scale"] = [1.4, 0.7]
    [problem] = problems_of(make_study, tiny)
    assert problem.startswith("recipes.cyclical.augmentation.scale")


def test_setting_of_another_method_is_refused(make_study: MakeStudy, tiny: Settings) -> None:
    tiny["methods"]["vanilla"]["passes"] = 10
    [problem] = problems_of(make_study, tiny)
    assert problem == (
        "methods.vanilla.passes: unknown key; allowed: colour, folds, label, method, "
        "reading_of, recipe, repeats, temperature"
    )


def test_method_that_trains_as_any_is_no_variant(make_study: MakeStudy, tiny: Settings) -> None:
    tiny["recipes"]["cyclical"]["variant"] = {"name": "swa"}
    [problem] = problems_of(make_study, tiny)
    assert problem.startswith("recipes.cyclical.variant.name: 'swa' is not one of")
    assert "a class Variant" in problem


def test_setting_of_another_variant_is_refused(make_study: MakeStudy, tiny: Settings) -> None:
    tiny["recipes"]["hmc"]["variant"]["rank"] = 10
    [problem] = problems_of(make_study, tiny)
    assert problem == "recipes.hmc.variant.rank: unknown key; allowed: name, temperature"


@pytest.mark.parametrize(
    "optimiser",
    [
        {"name": "adamw", "weight_decay": 0.0},
        {"name": "sgd", "momentum": 0.9, "weight_decay": 0.0},  # Nesterov's, by default
        {"name": "sgd", "momentum": 0.9, "nesterov": True, "weight_decay": 0.0},
    ],
)
def test_hmc_with_another_optimiser_than_plain_momentum_is_refused(
    make_study: MakeStudy, tiny: Settings, optimiser: Settings
) -> None:
    tiny["recipes"]["hmc"]["optimiser"] = optimiser
    assert problems_of(make_study, tiny) == [
        "recipes.hmc.optimiser: hmc needs {name: sgd, nesterov: false}"
    ]


def test_hmc_without_a_phase_to_sample_in_is_refused(make_study: MakeStudy, tiny: Settings) -> None:
    tiny["recipes"]["hmc"]["schedule"] = tiny["recipes"]["polynomial"]["schedule"]
    tiny["methods"]["hmc_cp"] = {"method": "single", "label": "HMC", "recipe": "hmc"}
    [problem] = problems_of(make_study, tiny)
    assert problem.startswith("recipes.hmc.schedule: hmc samples in the constant phases")


def test_weights_with_a_prior_do_not_decay(make_study: MakeStudy, tiny: Settings) -> None:
    tiny["recipes"]["bayes_by_backprop"]["optimiser"] = {"name": "adamw", "weight_decay": 0.01}
    [problem] = problems_of(make_study, tiny)
    assert problem.startswith("recipes.bayes_by_backprop.optimiser.weight_decay: 0.01; expected 0")
    tiny["recipes"]["bayes_by_backprop"]["optimiser"]["weight_decay"] = 0  # an integer, too
    make_study(tiny)


def test_test_set_of_a_part_that_the_split_has_not_is_refused(
    make_study: MakeStudy, tiny: Settings
) -> None:
    tiny["test_sets"]["phantom-val"]["split"] = "test"
    assert problems_of(make_study, tiny) == [
        "test_sets.phantom-val.split: 'test' needs `split.test_fraction`"
    ]


def test_split_that_leaves_no_one_to_train_on_is_refused(
    make_study: MakeStudy, tiny: Settings
) -> None:
    tiny["split"]["test_fraction"] = 0.5
    assert problems_of(make_study, tiny) == [
        "split: fractions [0.5, 0.5] leave no one to train on; expected a sum below 1"
    ]


def test_selection_on_the_subjects_that_are_tested_on_is_refused(
    make_study: MakeStudy, tiny: Settings
) -> None:
    tiny["recipes"]["dropout"]["selection"] = "validation_nll"
    [problem] = problems_of(make_study, tiny)
    assert problem.startswith(
        "methods.mc_dropout: selects weights on the validation side, which the test set "
        "'phantom-val' has too"
    )
    hold_out_test_subjects(tiny)
    tiny["test_sets"]["phantom-val"]["split"] = "test"
    assert make_study(tiny)


def test_selection_of_the_run_that_predicts_counts_beside_folds(
    make_study: MakeStudy, tiny: Settings
) -> None:
    """The temperature is fitted on folds, but the plain run selects on the validation side."""
    tiny["recipes"]["own"] = tiny["recipes"]["polynomial"] | {"selection": "validation_nll"}
    tiny["methods"]["temperature_fitted"]["recipe"] = "own"
    [problem] = problems_of(make_study, tiny)
    assert problem.startswith("methods.temperature_fitted: selects weights on the validation side")


@pytest.mark.parametrize("structure", ["RV", "MYO", "LV"])
def test_slices_need_a_limit_of_each_structure(
    make_study: MakeStudy, tiny: Settings, structure: str
) -> None:
    del tiny["evaluation"]["poor"]["slice"][structure]
    [problem] = problems_of(make_study, tiny)
    assert problem.startswith(f"evaluation.poor.slice: no limit for {[structure]}")


def test_limits_are_of_the_study_s_structures(make_study: MakeStudy, tiny: Settings) -> None:
    tiny["structures"] = ["MYO", "LV"]
    problems = problems_of(make_study, tiny)
    assert [problem.partition(":")[0] for problem in problems] == [
        f"evaluation.poor.{level}.structure" for level in ("volume", "slice")
    ]
    for level in ("volume", "slice"):
        del tiny["evaluation"]["poor"][level]["RV"]
    assert make_study(tiny).structures == ("MYO", "LV")


@pytest.mark.parametrize(
    "name", [BACKGROUND, FOREGROUND, ALL, MEAN, TOP_LABEL, "metric", "left ventricle", "1"]
)
def test_names_that_no_structure_can_have(make_study: MakeStudy, tiny: Settings, name: str) -> None:
    tiny["structures"] = [name]
    assert any(problem.startswith("structures.0") for problem in problems_of(make_study, tiny))


def test_part_that_a_layout_has_not_is_refused(make_study: MakeStudy, tiny: Settings) -> None:
    test_set = next(name for name, block in tiny["test_sets"].items() if "split" not in block)
    tiny["test_sets"][test_set]["part"] = "holiday"
    [problem] = problems_of(make_study, tiny)
    assert problem.startswith(f"test_sets.{test_set}.part: 'holiday' is not one of ['training',")


def test_several_parts_are_checked_each_and_not_split(
    make_study: MakeStudy, tiny: Settings
) -> None:
    tiny["test_sets"]["phantom-B"]["part"] = ["training", "testing", "holiday"]
    [problem] = problems_of(make_study, tiny)
    assert problem.startswith("test_sets.phantom-B.part: 'holiday' is not one of ['training',")
    tiny["test_sets"]["phantom-B"]["part"] = ["training", "testing"]
    assert make_study(tiny).data_folders()["phantom-mnms"]["optional"] == ["testing"]
    tiny["test_sets"]["phantom-B"]["split"] = "validation"
    tiny["test_sets"]["phantom-val"]["part"] = ["training", "testing"]
    assert problems_of(make_study, tiny) == [
        "test_sets.phantom-B.split: 'phantom-mnms' is not split; 'phantom-acdc' is",
        "test_sets.phantom-val.split: only the part 'training' is split",
    ]


def test_nobody_is_tested_on_who_is_trained_on(make_study: MakeStudy, tiny: Settings) -> None:
    tested = tiny["test_sets"]["phantom-val"]
    side, tested["split"] = tested["split"], "train"
    assert problems_of(make_study, tiny) == [
        f"test_sets.phantom-val.split: 'train' is not one of ['{side}', 'test']"
    ]
    del tested["split"]
    for tested["part"] in ("training", ["testing", "training"]):
        [problem] = problems_of(make_study, tiny)
        assert problem.startswith("test_sets.phantom-val: has the subjects that are trained on;")
    tested["part"] = "testing"
    assert make_study(tiny)


def test_rate_that_never_falls_is_refused(make_study: MakeStudy, tiny: Settings) -> None:
    schedule = {"name": "step", "epochs": 8, "alpha_0": 0.1, "after": 8, "factor": 0.1}
    tiny["recipes"]["dropout"]["schedule"] = schedule
    [problem] = problems_of(make_study, tiny)
    assert problem.startswith("recipes.dropout.schedule.after: 8; expected an epoch before")
    schedule["after"] = 7
    assert make_study(tiny)


@pytest.mark.parametrize(
    ("recipe", "changes"),
    [
        ("layer_ensemble", {"loss": "cross_entropy"}),
        ("layer_ensemble", {"deep_supervision": False}),
        ("biased", {"loss": "cross_entropy"}),
        ("stochastic_segmentation", {"loss": "nacl"}),
        ("evidential", {"loss": "nacl"}),
    ],
)
def test_loss_that_a_method_would_not_use_is_refused(
    make_study: MakeStudy, tiny: Settings, recipe: str, changes: Settings
) -> None:
    tiny["recipes"][recipe] |= changes
    [problem] = problems_of(make_study, tiny)
    assert problem.startswith(f"recipes.{recipe}.{next(iter(changes))}: ")


def test_selection_keeps_one_epoch_s_weights(make_study: MakeStudy, tiny: Settings) -> None:
    tiny["recipes"]["cyclical"]["selection"] = "validation_nll"
    hold_out_test_subjects(tiny)
    tiny["test_sets"]["phantom-val"]["split"] = "test"
    problems = problems_of(make_study, tiny)
    named = {problem.split(".recipe: ")[0] for problem in problems}
    assert named == {
        "methods.swa",
        "methods.swag",
        "methods.multi_swag",
        "methods.checkpoint_ensemble_single",
        "methods.checkpoint_ensemble_multi",
    }
    assert all("keeps one epoch's weights" in problem for problem in problems)


@pytest.mark.parametrize(
    ("method", "changes"),
    [
        ("temperature_scaling", {"temperature": "fitted"}),
        ("checkpoint_ensemble_multi", {"select": "best"}),
        ("hmc_cp", {"select": "best"}),
    ],
)
def test_fit_on_the_subjects_that_are_tested_on_is_refused(
    make_study: MakeStudy, tiny: Settings, method: str, changes: Settings
) -> None:
    tiny["methods"][method] |= changes
    tiny["test_sets"]["some"] = tiny["test_sets"]["phantom-val"] | {"label": "Some", "vendor": "A"}
    advice = "set `split.test_fraction` and test on `split: test`, or set `folds`"
    assert problems_of(make_study, tiny) == [
        f"methods.{method}: fits on the validation side, which the test set {test_set!r} has too; "
        f"{advice}"
        for test_set in ("phantom-val", "some")
    ]
    # what is wrong is the test sets: with a side of their own they are fine
    hold_out_test_subjects(tiny)
    for test_set in ("phantom-val", "some"):
        tiny["test_sets"][test_set]["split"] = "test"
    assert make_study(tiny).methods[method].fits()


def test_fit_on_folds_may_be_tested_on_the_validation_side(
    make_study: MakeStudy, tiny: Settings
) -> None:
    study = make_study(tiny)
    assert study.methods["temperature_fitted"].fits()
    del tiny["methods"]["temperature_fitted"]["folds"]
    [problem] = problems_of(make_study, tiny)
    assert "'phantom-val'" in problem


def test_folds_of_a_fixed_temperature_are_refused(make_study: MakeStudy, tiny: Settings) -> None:
    tiny["methods"]["temperature_scaling"]["folds"] = 4
    assert problems_of(make_study, tiny) == [
        "methods.temperature_scaling: does not go with recipe 'polynomial': `folds` are for a "
        "temperature that is `fitted`"
    ]


def test_more_checkpoints_than_the_cycle_has_are_refused(
    make_study: MakeStudy, tiny: Settings
) -> None:
    tiny["methods"]["swa"]["checkpoints"] = 3
    [problem] = problems_of(make_study, tiny)
    assert problem.startswith("methods.swa: does not go with recipe 'cyclical': 3 checkpoints")


def test_cyclical_method_of_a_polynomial_recipe_is_refused(
    make_study: MakeStudy, tiny: Settings
) -> None:
    tiny["methods"]["swa"]["recipe"] = "polynomial"
    [problem] = problems_of(make_study, tiny)
    assert problem == (
        "methods.swa: does not go with recipe 'polynomial': it samples the cycles of a run, and "
        "this recipe's schedule has none"
    )


def test_cycles_that_do_not_divide_the_epochs_are_refused(
    make_study: MakeStudy, tiny: Settings
) -> None:
    tiny["recipes"]["cyclical"]["schedule"]["epochs"] = 13
    problems = problems_of(make_study, tiny)
    assert all("13 epochs are not divisible into 3 cycles" in problem for problem in problems)


def test_phantom_without_its_size_is_refused(make_study: MakeStudy, tiny: Settings) -> None:
    del tiny["phantom"]
    [problem] = problems_of(make_study, tiny)
    assert problem.startswith("phantom: missing")


def test_all_problems_of_names_and_methods_are_listed_at_once(
    make_study: MakeStudy, tiny: Settings
) -> None:
    set_key(tiny, "split.dataset", "acdc")
    set_key(tiny, "methods.vanilla.recipe", "x")
    set_key(tiny, "methods.deep_ensemble.method", "y")
    set_key(tiny, "methods.swa.checkpoints", 50)
    set_key(tiny, "methods.mc_dropout.passes", 0)
    places = sorted(problem.split(":")[0] for problem in problems_of(make_study, tiny))
    assert places == [
        "methods.deep_ensemble.method",
        "methods.mc_dropout.passes",
        "methods.swa",
        "methods.vanilla.recipe",
        "split.dataset",
    ]


def test_mirror_images_of_what_is_no_logits_are_refused(
    make_study: MakeStudy, tiny: Settings
) -> None:
    set_key(tiny, "prediction.mirroring", True)
    problems = problems_of(make_study, tiny)
    refused = {problem.split(":")[0].removeprefix("methods.") for problem in problems}
    assert {tiny["methods"][name]["method"] for name in refused} == {
        "stochastic_segmentation",
        "evidential",
    }
    assert all("set `prediction.mirroring: false`" in problem for problem in problems)
    for name in refused:
        del tiny["methods"][name]
    mirrored = make_study(tiny)
    del tiny["prediction"]["mirroring"]
    plain = make_study(tiny)
    assert [mirrored.network_passes(name) for name in plain.methods] == [
        4 * plain.network_passes(name) for name in plain.methods
    ]
