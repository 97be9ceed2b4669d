"""The studies that come with the project, and the paper's settings to the letter."""

from pathlib import Path
from typing import Any

import pytest

from cardiouq.study import Study

STUDIES = ("demo", "laptop", "zhao2022")


def load(name: str, machine: dict[str, Any], repository: Path) -> Study:
    return Study(name, machine, repository / "config")


@pytest.mark.parametrize("name", STUDIES)
def test_study_loads_and_has_the_paper_s_methods_in_its_order(
    name: str, machine: dict[str, Any], repository: Path
) -> None:
    study = load(name, machine, repository)
    assert [study["methods"][method]["label"] for method in study.methods] == [
        "Vanilla",
        "Temp. Scaling",
        "SWA",
        "MC-Dropout",
        "Deep Ens.",
        "Ckpt. Ens. (Single)",
        "Ckpt. Ens. (Multi)",
    ]
    assert next(iter(study["test_sets"].values()))["domain"] == "ID"
    published = [test_set["published"] for test_set in study["test_sets"].values()]
    assert [p for p in published if p] == ["acdc-val", "mnms-A", "mnms-B"]


def test_every_shipped_study_is_tested(repository: Path) -> None:
    files = (repository / "config" / "studies").glob("*.yaml")
    assert {file.stem for file in files} == set(STUDIES)


@pytest.fixture
def paper(machine: dict[str, Any], repository: Path) -> Study:
    return load("zhao2022", machine, repository)


def test_paper_s_network_is_nnunet_s_own_plan(paper: Study) -> None:
    assert paper["plan"] == {
        "spacing": None,
        "patch_size": None,
        "base_features": 32,
        "max_features": 512,
        "max_stages": None,
    }


@pytest.mark.parametrize("recipe", ["polynomial", "dropout", "cyclical"])
def test_paper_s_training(paper: Study, recipe: str) -> None:
    settings = paper["recipes"][recipe]
    assert settings["optimiser"] == {"name": "sgd", "momentum": 0.99, "weight_decay": 3e-5}
    assert settings["batch_size"] == 20
    assert settings["iterations_per_epoch"] == 250
    assert settings["augmentation"] == {
        "rotation_degrees": 180,
        "scale": [0.7, 1.4],
        "mirror": True,
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
    users = [name for name, block in paper["methods"].items() if block["recipe"] == "dropout"]
    assert users == ["mc_dropout"]


def test_paper_s_methods(paper: Study) -> None:
    settings = {
        name: {k: v for k, v in block.items() if k not in ("label", "recipe")}
        for name, block in paper["methods"].items()
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
    assert paper.keep_epochs("cyclical") == sorted(tails)
    assert paper.keep_epochs("polynomial") == [999]


def test_paper_s_data_and_evaluation(paper: Study) -> None:
    assert paper["split"] == {"dataset": "acdc", "validation_fraction": 0.2}
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
