"""The studies that come with the project, and the papers' settings to the letter."""

import contextlib
import re
from pathlib import Path
from typing import Any

import pytest

from cardiouq.files.documents import read_yaml
from cardiouq.methods import method_class, method_names, variant_class
from cardiouq.methods.base import Member, PretrainedMethod, folds_of
from cardiouq.methods.settings import settings_schema
from cardiouq.study.study import Study

ZHAO2022 = {
    "vanilla": "Vanilla",
    "temperature_scaling": "Temp. Scaling",
    "swa": "SWA",
    "mc_dropout": "MC-Dropout",
    "deep_ensemble": "Deep Ens.",
    "checkpoint_ensemble_single": "Ckpt. Ens. (Single)",
    "checkpoint_ensemble_multi": "Ckpt. Ens. (Multi)",
}
"""Methods of zhao2022 in its order, by the keys that its numbers have."""
NG2022 = ("ng2022", "ng2022-acdc", "ng2022-mnms")
SHIPPED = (
    "buddenkotte2023",
    "demo",
    "kushibar2022",
    "laptop",
    "laptop-ng2022",
    *NG2022,
    "own",
    "quick",
    "workstation",
    "zhao2022",
    "zhao2024",
)


def load(name: str, local_config: dict[str, Any], repository: Path) -> Study:
    return Study(name, local_config, repository / "config")


@pytest.mark.parametrize("name", ["demo", "laptop", "workstation", "zhao2022"])
def test_study_has_the_methods_of_zhao2022_in_its_order(
    name: str, local_config: dict[str, Any], repository: Path
) -> None:
    study = load(name, local_config, repository)
    labels = {key: block["label"] for key, block in study["methods"].items() if key in ZHAO2022}
    assert list(labels.items()) == list(ZHAO2022.items())
    published = [test_set["published"] for test_set in study["test_sets"].values()]
    assert [p for p in published if p] == ["acdc-val", "mnms-A", "mnms-B"]


@pytest.mark.parametrize("name", ["demo", "laptop", "quick"])
def test_every_method_that_trains_and_variant_stands_in_the_studies_for_everyone(
    name: str, local_config: dict[str, Any], repository: Path
) -> None:
    study = load(name, local_config, repository)
    used = {block["method"] for block in study["methods"].values()}
    trained = {
        block["variant"]["name"] for block in study["recipes"].values() if "variant" in block
    }
    assert used | trained == {
        name for name in method_names() if not issubclass(method_class(name), PretrainedMethod)
    }
    assert {study["methods"][key]["recipe"] for key in study["methods"]} == set(study["recipes"])


@pytest.mark.parametrize("name", SHIPPED)
def test_study_loads_and_begins_in_domain(
    name: str, local_config: dict[str, Any], repository: Path
) -> None:
    study = load(name, local_config, repository)
    assert next(iter(study["test_sets"].values()))["domain"] == "ID"
    paper = study["reporting"]["published"]
    named = {test_set["published"] for test_set in study["test_sets"].values()} - {None}
    if paper:
        numbers = (repository / f"config/published/{paper}.csv").read_text(encoding="utf-8")
        assert all(f",{test_set}," in numbers for test_set in named)
        assert name.startswith(paper) or name in ("demo", "laptop", "laptop-ng2022", "workstation")
    else:
        assert not named


def test_every_shipped_study_is_tested(repository: Path) -> None:
    files = (repository / "config" / "studies").glob("*.yaml")
    assert {file.stem for file in files} == set(SHIPPED)


def keys_of(schema: Any) -> set[str]:
    """Every key that a schema names, however deep."""
    if isinstance(schema, list):
        return set().union(*map(keys_of, schema))
    if not isinstance(schema, dict):
        return set()
    below = set().union(*map(keys_of, schema.values()))
    properties = schema.get("properties", {})
    return below | (set(properties) if isinstance(properties, dict) else set())


def test_every_key_of_a_study_is_documented(repository: Path) -> None:
    keys = keys_of(read_yaml(repository / "config/schemas/study.schema.yaml"))
    assert {"seed", "branch", "test_fraction", "nesterov"} < keys
    for name in method_names():
        keys |= set(settings_schema(method_class(name)))
        with contextlib.suppress(KeyError):  # most methods train as any
            keys |= set(settings_schema(variant_class(name)))
    documented = (repository / "config/README.md").read_text(encoding="utf-8")
    words = {
        word for code in re.findall(r"`([^`]+)`", documented) for word in re.split(r"\W+", code)
    }
    assert keys - words == set()
    assert set(method_names()) - words == set()


@pytest.fixture
def paper(local_config: dict[str, Any], repository: Path) -> Study:
    return load("zhao2022", local_config, repository)


def test_paper_s_network_is_nnunet_s_own_plan(paper: Study) -> None:
    assert paper.written["plan"] == {
        "spacing": None,
        "patch_size": None,
        "base_features": 32,
        "max_features": 480,
        "max_stages": None,
    }


@pytest.mark.parametrize("recipe", ["polynomial", "dropout", "cyclical"])
def test_paper_s_training(paper: Study, recipe: str) -> None:
    settings = paper.written["recipes"][recipe]
    assert settings["optimiser"] == {"name": "sgd", "momentum": 0.99, "weight_decay": 3e-5}
    assert settings["batch_size"] == 20
    assert settings["iterations_per_epoch"] == 250
    assert settings["augmentation"] == {
        "rotation_degrees": 180,
        "scale": [0.7, 1.4],
        "mirror": True,
        "intensities": "nnunet_code",
    }


@pytest.mark.parametrize("recipe", ["polynomial", "dropout"])
def test_paper_s_polynomial_schedule(paper: Study, recipe: str) -> None:
    assert paper["recipes"][recipe]["schedule"] == {
        "name": "polynomial",
        "epochs": 1000,
        "alpha_0": 0.01,
        "epsilon": 0.9,
    }


def test_paper_s_cyclical_schedule(paper: Study) -> None:
    assert paper["recipes"]["cyclical"]["schedule"] == {
        "name": "cyclical",
        "epochs": 1200,
        "cycles": 3,
        "gamma": 0.8,
        "alpha_0": 0.01,
        "alpha_r": 0.1,
        "epsilon": 0.9,
        "denominator": "T",
    }


def test_paper_s_dropout_is_mc_dropout_s_alone(paper: Study) -> None:
    rates = {recipe: block["dropout"]["p"] for recipe, block in paper["recipes"].items()}
    assert rates == {"polynomial": 0.0, "dropout": 0.1, "cyclical": 0.0}
    assert paper["recipes"]["dropout"]["dropout"]["kind"] == "channel"
    users = [name for name, block in paper["methods"].items() if block["recipe"] == "dropout"]
    assert users == ["mc_dropout"]


def test_paper_s_methods(paper: Study) -> None:
    settings = {
        name: {k: v for k, v in block.items() if k not in ("label", "recipe")}
        for name, block in paper.written["methods"].items()
    }
    assert settings == {
        "vanilla": {"method": "single"},
        "temperature_scaling": {"method": "single", "temperature": 1.5},
        "swa": {"method": "swa", "checkpoints": 30, "step": 2},
        "mc_dropout": {"method": "mc_dropout", "passes": 30},
        "deep_ensemble": {"method": "deep_ensemble", "size": 5},
        "checkpoint_ensemble_single": {
            "method": "checkpoint_ensemble",
            "cycles": 1,
            "checkpoints": 30,
            "step": 2,
        },
        "checkpoint_ensemble_multi": {
            "method": "checkpoint_ensemble",
            "cycles": 3,
            "checkpoints": 10,
            "step": 1,
        },
    }


def test_paper_s_methods_draw_from_its_recipes(paper: Study) -> None:
    recipes = {name: block["recipe"] for name, block in paper["methods"].items()}
    assert recipes == {
        "vanilla": "polynomial",
        "temperature_scaling": "polynomial",
        "swa": "cyclical",
        "mc_dropout": "dropout",
        "deep_ensemble": "polynomial",
        "checkpoint_ensemble_single": "cyclical",
        "checkpoint_ensemble_multi": "cyclical",
    }


def test_paper_keeps_the_epochs_it_samples(paper: Study) -> None:
    tails = {*range(390, 400), *range(790, 800), *range(1190, 1200), *range(1141, 1200, 2)}
    assert paper.keep_epochs("cyclical", Member()) == sorted(tails)
    assert paper.keep_epochs("polynomial", Member()) == [999]


def test_paper_s_data_and_evaluation(paper: Study) -> None:
    assert paper.written["split"] == {"dataset": "acdc", "validation_fraction": 0.2}
    assert {d: block["layout"] for d, block in paper["datasets"].items()} == {
        "acdc": "acdc",
        "mnms": "mnms",
    }
    assert paper["test_sets"]["acdc-val"]["split"] == "validation"
    assert [paper["test_sets"][f"mnms-{vendor}"]["vendor"] for vendor in "AB"] == ["A", "B"]
    assert paper["evaluation"]["ece"] == {
        "bins": 100,
        "box": "reference",
        "margin": 0,
        "pool": "voxels",
    }


def test_every_run_of_zhao2024_has_one_budget(
    local_config: dict[str, Any], repository: Path
) -> None:
    study = load("zhao2024", local_config, repository)
    recipes = study["recipes"]
    budgets = {
        (block["schedule"]["epochs"], block["iterations_per_epoch"], block["batch_size"])
        for block in recipes.values()
    }
    assert budgets == {(1200, 250, 20)}
    assert set(study.methods) == {*ZHAO2022, "hmc_cp"} - {"temperature_scaling"}
    # the sampler differs from the checkpoint ensembles' run by its noise and by Nesterov's step
    assert recipes["hmc"] == recipes["cyclical"] | {
        "optimiser": recipes["cyclical"]["optimiser"] | {"nesterov": False},
        "variant": {"name": "hmc", "temperature": recipes["hmc"]["variant"]["temperature"]},
    }
    assert 0 < recipes["hmc"]["variant"]["temperature"] < 1
    assert study.keep_epochs("hmc", Member()) == study.methods["hmc_cp"].checkpoint_epochs(
        study.schedule("cyclical")
    )


def test_settings_of_kushibar2022(local_config: dict[str, Any], repository: Path) -> None:
    study = load("kushibar2022", local_config, repository)
    plain, layers = (study.written["recipes"][name] for name in ("plain", "layer_ensemble"))
    assert layers == plain | {"variant": {"name": "layer_ensemble"}}
    schedule = study.schedule("plain")
    assert {schedule.learning_rate(epoch) for epoch in range(200)} == {1e-4}
    assert (schedule.epochs, plain["batch_size"]) == (200, 5)
    assert plain["optimiser"] == {"name": "adamw", "weight_decay": 0.0}
    assert plain["augmentation"] == {
        "rotation_degrees": 15,
        "scale": [1.0, 1.0],
        "mirror": True,
    }
    assert study["plan"]["patch_size"] == [128, 128]
    # heads of the encoder, of the decoder, and the network's own
    stages = study["plan"]["max_stages"]
    assert stages + (stages - 1) + 1 == 10
    assert study["methods"]["layer_ensemble"]["skip"] == 5
    assert len(study.methods["deep_ensemble"].members()) == 5
    limits = {"RV": 0.80, "MYO": 0.80, "LV": 0.85, "foreground": 0.90}
    for level in ("volume", "slice"):
        assert study["evaluation"]["poor"][level] == {"metric": "dice", **limits}
    # tested on subjects of its own, which nothing else looks at
    assert [t["split"] for t in study["test_sets"].values()] == ["test"]
    assert study["split"]["test_fraction"] == 0.2


def test_members_of_buddenkotte2023(local_config: dict[str, Any], repository: Path) -> None:
    study = load("buddenkotte2023", local_config, repository)
    members = [Member(0, fold, 4, w) for fold in range(4) for w in (-3, -2, -1, 0, 1, 2, 3)]
    for calibration in ("count", "pattern"):
        name = f"calibrated_ensemble_{calibration}"
        assert study["methods"][name]["calibration"] == calibration
        assert study.methods[name].members() == members
    assert len(study.members("biased")) == 4 * 7
    # one shared run a fold, which the cross-validation ensemble goes on with
    assert study.methods["cv_ensemble"].members() == folds_of(4)
    assert [m for m in study.members("polynomial") if m.fold is not None] == folds_of(4)
    # the last epoch that members share is the 750th of 1000
    assert {study.branch_epoch("biased"), *study.branch_epochs("polynomial", Member(0, 2, 4))} == {
        749
    }
    assert study["reporting"]["published"] is None


@pytest.mark.parametrize("name", NG2022)
def test_ng2022_has_the_paper_s_settings(
    name: str, local_config: dict[str, Any], repository: Path
) -> None:
    study = load(name, local_config, repository)
    rates = [study.schedule("plain").learning_rate(epoch) for epoch in range(50)]
    assert rates == pytest.approx([1e-4] * 30 + [1e-5] * 20)
    for recipe in study["recipes"].values():
        assert recipe["selection"] == "validation_nll"
        assert recipe["augmentation"] == {
            "rotation_degrees": 60,
            "scale": [0.7, 1.3],
            "translation_pixels": 60,
            "probability": 1.0,
            "mirror": False,
            "intensities": False,
        }
    samples = {"mcd_0_1": "passes", "mcd_0_5": "passes", "bbb": "samples", "ssn": "samples"}
    assert {study["methods"][method][key] for method, key in samples.items()} == {50}
    repeats = {method: block["repeats"] for method, block in study["methods"].items()}
    assert repeats == dict.fromkeys(("vanilla", *samples), 5) | {"deep_ensemble": 1}
    # the first five members of the ensemble are the plain networks
    assert len(study.run_folders("deep_ensemble")) == 10
    assert study.run_folders("vanilla-repeat-5") == study.run_folders("deep_ensemble")[4:5]
    assert len(study.all_run_folders()) == 10 + 4 * 5
    assert study["distortions"]["kinds"]["noise"] == [0.05, 0.07, 0.08, 0.10]
    assert study["distortions"]["kinds"]["blur"] == [1, 2, 3, 4]
    assert study["evaluation"]["poor"]["slice"] == {
        "metric": "assd_mm",
        "RV": 1.88,
        "MYO": 1.19,
        "LV": 1.17,
    }


def test_ng2022_s_studies_differ_in_their_data_alone(
    local_config: dict[str, Any], repository: Path
) -> None:
    first, *others = (load(name, local_config, repository).written for name in NG2022)
    for other in others:
        differing = {key for key in first if first[key] != other[key]}
        assert differing <= {"title", "datasets", "split", "test_sets", "distortions"}


def test_workstation_differs_from_laptop_in_how_it_trains_and_follows_the_paper_s_proportions(
    local_config: dict[str, Any], repository: Path
) -> None:
    ours, laptop, paper = (
        load(name, local_config, repository) for name in ("workstation", "laptop", "zhao2022")
    )
    for section in ("datasets", "split", "plan", "test_sets", "evaluation"):
        assert ours[section] == laptop[section]
    for name in ("polynomial", "cyclical"):
        recipe, published = ours["recipes"][name], paper["recipes"][name]
        # noise and gamma are those of nnU-Net's text, not of its code
        published["augmentation"]["intensities"] = True
        same = published.keys() - {"schedule", "iterations_per_epoch", "batch_size"}
        assert all(recipe[key] == published[key] for key in same - {"validation_batches"})
        iterations = recipe["schedule"]["epochs"] * recipe["iterations_per_epoch"]
        of_laptop = laptop["recipes"][name]
        assert iterations == 10 * (
            of_laptop["schedule"]["epochs"] * of_laptop["iterations_per_epoch"]
        )
        kept = published["schedule"].keys() - {"epochs"}
        assert all(recipe["schedule"][key] == published["schedule"][key] for key in kept)


def test_laptop_s_ng2022_shares_its_runs_and_has_the_paper_s_methods_and_degrees(
    local_config: dict[str, Any], repository: Path
) -> None:
    ours, laptop, paper = (
        load(name, local_config, repository) for name in ("laptop-ng2022", "laptop", "ng2022-acdc")
    )
    assert list(ours["methods"]) == list(paper["methods"])
    assert ours["distortions"]["kinds"] == paper["distortions"]["kinds"]
    for recipe in ours["recipes"]:
        for member in ours.members(recipe):
            assert ours.key(recipe, member) == laptop.key(recipe, member)
