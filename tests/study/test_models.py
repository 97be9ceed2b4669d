"""A study with a model that was trained elsewhere: what is refused, counted, predicted again."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from cardiouq.data.plan import Plan
from cardiouq.progress.estimates import memory_mb, plan_of, prediction_resources
from cardiouq.progress.jobs import jobs_of
from cardiouq.study.study import Study
from tests.nnunet.trained import checkpoint, write
from tests.paths import CONFIG, LOCAL_CONFIG
from tests.study.changes import MakeStudy, Settings, problems_of, reversed_keys

MODEL = "a__nnUNetPlans__2d"
THEIRS = ("RV", "MYO", "LVC")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model that lies beside the study."""
    return write(tmp_path / MODEL, structures=THEIRS)


@pytest.fixture
def with_model(tiny: Settings, model: Path) -> Settings:
    """The tiny study with the model beside its methods."""
    tiny["methods"]["theirs"] = {
        "method": "nnunet",
        "label": "nnU-Net",
        "model": f"./{model.name}",
        "labels": {"LV": "LVC"},
    }
    return tiny


def test_model_is_a_method_without_recipe_and_runs(
    make_study: MakeStudy, tiny: Settings, with_model: Settings, plan: Plan
) -> None:
    study = make_study(with_model)
    of_theirs = study.recipe_of("theirs"), study.run_folders("theirs"), study.styles["theirs"]
    assert of_theirs == ("", [], (None, None))
    assert study.sample_count("theirs", plan) == 2
    assert study.network_passes("theirs") == 8  # four mirror images by each fold
    runs = study.all_run_folders()
    del tiny["methods"]["theirs"]
    assert make_study(tiny).all_run_folders() == runs


@pytest.mark.usefixtures("order_kept")
def test_model_is_predicted_with_the_same_text_whatever_the_order_of_its_keys(
    make_study: MakeStudy, with_model: Settings
) -> None:
    block = with_model["methods"]["theirs"] | {"labels": {"LV": "LVC", "RV": "RV"}}
    with_model["methods"]["theirs"] = block
    before = make_study(with_model).prediction_settings("theirs")
    with_model["methods"]["theirs"] = reversed_keys(block)
    assert make_study(with_model).prediction_settings("theirs") == before


def test_study_of_models_alone_needs_no_recipe(
    make_study: MakeStudy, with_model: Settings, tmp_path: Path
) -> None:
    with_model["recipes"] = {}
    with_model["methods"] = {"theirs": with_model["methods"]["theirs"]}
    study = make_study(with_model)
    assert study.all_run_folders() == {}
    assert list(jobs_of(study, tmp_path)) == ["predict theirs", "evaluate theirs"]


def remove_plans(folder: Path, block: Settings) -> None:
    (folder / "plans.json").unlink()


def remove_fold(folder: Path, block: Settings) -> None:
    block["folds"] = [0, 5]


def cut(folder: Path, block: Settings) -> None:
    file = folder / "fold_1" / "checkpoint_final.pth"
    file.write_bytes(file.read_bytes()[:-1000])


def rename(folder: Path, block: Settings) -> None:
    block["model"] = str(folder.rename(folder.with_name("renamed")))


def set_to(key: str, value: Any) -> Callable[[Path, Settings], None]:
    return lambda folder, block: block.update({key: value})


@pytest.mark.parametrize(
    ("change", "key", "said"),
    [
        (
            set_to("model", "./elsewhere__p__2d"),
            "model",
            "plans.json: missing; expected the folder",
        ),
        (set_to("model", ""), "model", "should be non-empty"),
        (remove_plans, "model", "plans.json: missing; expected the folder that nnU-Net trained"),
        (rename, "model", "is called 'renamed'; expected the folder that nnU-Net trained into"),
        (cut, "model", "fold_1/checkpoint_final.pth: cannot be read as what PyTorch saves"),
        (remove_fold, "model", "fold_5/checkpoint_final.pth: missing; the folder has fold_0/"),
        (set_to("checkpoints", ["best"]), "model", "fold_0/checkpoint_best.pth: missing; the fold"),
        (
            set_to("labels", {}),
            "model",
            "dataset.json: no label is called 'LV', found ['LVC', 'MYO', 'RV', 'background']; say "
            "in its `labels` in the study",
        ),
        (set_to("labels", {"LV": "left"}), "model", "no label is called 'left', found ['LVC', 'M"),
        (set_to("labels", {"LV": 3, "ignore": 2}), "model", "names 'ignore'; expected structures"),
        (set_to("labels", {"LV": 3, "atrium": 2}), "model", "`labels` names ['atrium']; expected"),
        (set_to("folds", ["every"]), "folds", "is not valid under any of the given schemas"),
        (set_to("recipe", "polynomial"), "recipe", "nnunet trains nothing; remove the key"),
        (set_to("repeats", 2), "repeats", "nnunet trains nothing; remove the key"),
    ],
)
def test_model_that_cannot_be_predicted_with_is_refused_in_one_sentence(
    make_study: MakeStudy,
    with_model: Settings,
    model: Path,
    change: Callable[[Path, Settings], None],
    key: str,
    said: str,
) -> None:
    make_study(with_model)
    change(model, with_model["methods"]["theirs"])
    [problem] = problems_of(make_study, with_model)
    assert problem.startswith(f"methods.theirs.{key}")
    assert said in problem
    assert "\n" not in problem


def test_method_of_a_model_without_one_is_refused(
    make_study: MakeStudy, with_model: Settings
) -> None:
    del with_model["methods"]["theirs"]["model"]
    assert problems_of(make_study, with_model) == [
        "methods.theirs.model: missing; expected the folder of what was trained"
    ]


def test_method_that_trains_and_has_no_recipe_or_a_model_is_refused(
    make_study: MakeStudy, tiny: Settings
) -> None:
    del tiny["methods"]["swa"]["recipe"]
    tiny["methods"]["vanilla"]["model"] = "./model"
    first, second = problems_of(make_study, tiny)
    assert first == "methods.swa.recipe: missing; swa draws from the runs of one"
    assert second.startswith("methods.vanilla.model: unknown key; ")


def settings_of(study: Study) -> Any:
    return json.loads(study.prediction_settings("theirs"))


def test_only_a_model_of_other_weights_or_labels_is_predicted_with_again(
    make_study: MakeStudy, with_model: Settings, model: Path
) -> None:
    before = settings_of(make_study(with_model))
    assert before["method"]["model"] == str(model)
    file = model / "fold_1" / "checkpoint_final.pth"
    os.utime(file, (0, 0))
    shutil.copy(file, file.with_name("checkpoint_best.pth"))
    with_model["methods"]["theirs"]["label"] = "Another name in print"
    assert settings_of(make_study(with_model)) == before
    torch.save(checkpoint(7, THEIRS), file)
    changed = settings_of(make_study(with_model))
    assert {key for key in before if before[key] != changed[key]} == {"fingerprint"}
    dataset = (model / "dataset.json").read_text(encoding="utf-8")
    (model / "dataset.json").write_text(dataset.replace("LVC", "LV"), encoding="utf-8")
    with_model["methods"]["theirs"]["labels"] = {"LV": "LV"}
    assert settings_of(make_study(with_model))["fingerprint"] != changed["fingerprint"]


def test_order_of_structures_is_part_of_what_is_predicted(
    make_study: MakeStudy, with_model: Settings
) -> None:
    before = settings_of(make_study(with_model))
    with_model["structures"] = ["MYO", "RV", "LV"]
    assert settings_of(make_study(with_model)) != before


def test_prediction_asks_for_what_the_model_s_own_plan_takes(
    make_study: MakeStudy, with_model: Settings, model: Path, tmp_path: Path
) -> None:
    def needs() -> tuple[int, int]:
        study = make_study(with_model)
        return prediction_resources(study, "theirs", tmp_path / "none", [], 0)

    small, minutes = needs()
    plans = json.loads((model / "plans.json").read_text(encoding="utf-8"))
    plans["configurations"]["2d"]["patch_size"] = [1024, 1024]
    (model / "plans.json").write_text(json.dumps(plans), encoding="utf-8")
    large, longer = needs()
    assert large > small
    assert longer > minutes
    of_study = memory_mb(plan_of(make_study(with_model), tmp_path / "none"), 12, 0)
    assert (
        prediction_resources(make_study(with_model), "vanilla", tmp_path / "none", [], 0).mem_mb
        == of_study
    )


def test_a_model_is_checked_and_counted_without_torch(
    make_study: MakeStudy, with_model: Settings, tmp_path: Path
) -> None:
    """Whatever starts Snakemake or asks for the status would wait for it."""
    with_model["methods"] = {"theirs": with_model["methods"]["theirs"]}
    with_model["recipes"] = {}
    make_study(with_model)
    given = str(tmp_path / "changed.yaml"), {**LOCAL_CONFIG}, str(CONFIG)
    code = (
        "import sys; from pathlib import Path; from cardiouq.study.study import Study; "
        f"name, local, folder = {given!r}; study = Study(name, local, Path(folder)); "
        "assert study.prediction_settings('theirs') and study.network_passes('theirs') == 8; "
        "assert not {'torch', 'monai'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
