"""A model's folder is read as it was written, and refused in one sentence if it is not."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from cardiouq.apply.export import UNKNOWN_LICENCE, licence_of
from cardiouq.apply.model_folder import read_model, structures_of
from cardiouq.data.fetch.sources import read_sources
from cardiouq.errors import CardiouqError
from cardiouq.evaluation.conformal import LEVELS
from cardiouq.files.writing import write_folder_hashes
from cardiouq.study.study import Study
from tests.paths import ROOT

Make = Callable[..., Path]


def no_image(case: object) -> Any:
    raise NotImplementedError


def test_model_is_read_as_it_was_written(make_model: Make) -> None:
    folder = make_model()
    model = read_model(folder)
    assert structures_of(folder) == ["RV", "MYO", "LV"]
    assert model.calibration["quantity"].value_counts().tolist() == [10, 10, 10]
    draws = list(model.sampler(torch.device("cpu"), no_image).draws(model.fitted))
    first, second = (next(iter(draw.network.parameters())) for draw in draws)  # type: ignore[attr-defined]
    assert not torch.equal(first, second)


# models of before recipes said it drop elements
@pytest.mark.parametrize(
    ("kind", "layer"), [({}, "Dropout"), ({"kind": "channel"}, "Dropout2d")], ids=["", "channel"]
)
def test_dropout_of_a_model_is_that_of_its_recipe(
    make_model: Make, said: dict[str, Any], kind: dict[str, str], layer: str
) -> None:
    recipe = said["recipe"] | {"dropout": {"p": 0.3, "place": "middle", **kind}}
    method = {"method": "mc_dropout", "passes": 2}
    model = read_model(make_model(method=method, recipe=recipe, members=["0"]))
    [draw] = model.sampler(torch.device("cpu"), no_image).draws(model.fitted)
    network: Any = draw.network
    modules = network.network.modules()
    assert {type(module).__name__ for module in modules if module.training} == {layer}
    first, second = draw.logits(network(torch.ones(1, 1, 32, 32)))
    assert not torch.equal(first, second)


def test_model_to_begin_with_can_be_read() -> None:
    model = read_model(ROOT / "models/acdc")
    assert list(model.thresholds) == structures_of(ROOT / "models/acdc") == ["RV", "MYO", "LV"]
    assert model.familiar.level == max(LEVELS)
    licence = read_sources(ROOT / "config/data_sources.csv")["acdc"].licence
    assert model.about["licence"] == licence
    card = (ROOT / "models/acdc/README.md").read_text(encoding="utf-8")
    assert f"Licence of the weights: {licence}, that of the training scans" in card


def test_model_mirrors_if_its_study_did(make_model: Make) -> None:
    def sampler(folder: Path) -> Any:
        return read_model(folder).sampler(torch.device("cpu"), no_image)

    assert sampler(make_model()).predictor.mirrored_axes == ()  # models of before do not say it
    assert sampler(make_model(mirroring=True)).predictor.mirrored_axes == (0, 1)


def test_licence_is_told_and_may_be_missing(make_model: Make) -> None:
    assert "licence" not in read_model(make_model()).about
    assert read_model(make_model(licence="CC BY 4.0")).about["licence"] == "CC BY 4.0"
    with pytest.raises(CardiouqError, match="licence"):
        read_model(make_model(licence=4))


@pytest.mark.parametrize(
    ("study", "licence"),
    [("demo", "Apache-2.0"), ("laptop", "CC BY-NC-SA 4.0"), ("own", UNKNOWN_LICENCE)],
)
def test_licence_is_that_of_the_training_scans(
    local_config: dict[str, Any], study: str, licence: str
) -> None:
    assert licence_of(Study(study, local_config, ROOT / "config")) == licence


def test_scans_in_nnunet_s_folders_are_not_said_to_be_the_exporter_s(
    local_config: dict[str, Any],
) -> None:
    """They may be ACDC, whose licence the weights are under then."""
    study = Study("own", local_config, ROOT / "config")
    assert study["datasets"]["own"]["layout"] == "nnunet"
    assert "exporter's own" not in licence_of(study)


def test_digest_is_of_the_content(make_model: Make) -> None:
    one, again = read_model(make_model()).digest, read_model(make_model()).digest
    assert one == again != read_model(make_model(seed=2)).digest


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("model.json", "is not as it was exported"),
        ("1/epoch-0001.safetensors", "is not as it was exported"),
        ("calibration.csv", "is not as it was exported"),
    ],
)
def test_altered_or_truncated_file_is_refused(make_model: Make, name: str, wrong: str) -> None:
    folder = make_model()
    file = folder / name
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(CardiouqError, match=f"{name}: {wrong}, by SHA256SUMS; export or fetch"):
        read_model(folder)
    file.unlink()
    with pytest.raises(CardiouqError, match=f"{name}: is missing"):
        read_model(folder)


def test_file_that_is_not_of_the_model_is_refused(make_model: Make) -> None:
    folder = make_model()
    (folder / "more.pkl").write_bytes(b"x")
    with pytest.raises(CardiouqError, match=r"more\.pkl: is not of the model"):
        read_model(folder)


def test_folder_without_hashes_is_no_model(make_model: Make, tmp_path: Path) -> None:
    folder = make_model()
    (folder / "SHA256SUMS").unlink()
    for other in (folder, tmp_path / "nowhere"):
        with pytest.raises(CardiouqError, match="is no model"):
            read_model(other)


def test_later_format_is_refused_before_what_it_says(make_model: Make) -> None:
    folder = make_model()
    (folder / "model.json").write_text(json.dumps({"format": 2, "novel": 1}), encoding="utf-8")
    (folder / "SHA256SUMS").unlink()
    write_folder_hashes(folder)
    with pytest.raises(CardiouqError, match="is of format 2; this version of CardioUQ reads 1"):
        read_model(folder)


def test_other_structures_are_refused(make_model: Make) -> None:
    folder = make_model(structures=["T1"])
    assert structures_of(folder) == ["T1"]
    with pytest.raises(CardiouqError, match="segments T1; expected RV, MYO, LV"):
        read_model(folder)


@pytest.mark.parametrize("name", ["RV/LV", "", "a\nb", " LV"])
def test_structure_that_cannot_be_part_of_a_file_is_refused(make_model: Make, name: str) -> None:
    with pytest.raises(CardiouqError, match="cannot be part of the name of a file"):
        structures_of(make_model(structures=["RV", name]))


def test_structures_may_have_commas_and_blanks(
    make_model: Make, save: Make, volume: NDArray[np.int16], tmp_path: Path
) -> None:
    """The program starts itself once more for other structures, and is to know them then."""
    names = ["MYO, septal", "LV", 'a "b"']
    folder, scan = make_model(structures=names, thresholds={}), save("scan.nii.gz", volume)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "cardiouq.cli", "apply", folder, scan, out, "--device", "cpu"]
    subprocess.run(command, check=True, timeout=120)
    files = {file.name for file in (out / "scans/scan").glob("probability_*")}
    assert files == {f"probability_{name}.nii.gz" for name in names}
    row = pd.read_csv(out / "subjects.csv").loc[0]
    assert row[[f"{name}_ml" for name in names]].notna().all()


def test_code_is_never_run(make_model: Make, tmp_path: Path) -> None:
    code = tmp_path / "mine.py"
    code.write_text("raise SystemExit('ran')", encoding="utf-8")
    with pytest.raises(CardiouqError, match="names a file of code"):
        read_model(make_model(method={"method": str(code)}))


def test_method_of_another_version_is_refused(make_model: Make) -> None:
    for method in ({"method": "novel"}, {"method": "deep_ensemble", "novel": 1}):
        with pytest.raises(CardiouqError, match="has no such method"):
            read_model(make_model(method=method))


def test_weights_of_another_network_are_refused(make_model: Make, said: dict[str, object]) -> None:
    variant = {"variant": {"name": "layer_ensemble"}}
    model = read_model(make_model(recipe={**said["recipe"], **variant}))  # type: ignore[dict-item]
    with pytest.raises(CardiouqError, match="are not those of the network"):
        list(model.sampler(torch.device("cpu"), no_image).draws(model.fitted))
