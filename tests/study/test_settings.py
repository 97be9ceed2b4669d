"""Settings that no study may have are refused in words that help, everything at once."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from cardiouq.errors import CardiouqError, ProblemsError
from cardiouq.study.study import Study
from tests.study.changes import MakeStudy, Settings, problems_of, set_key


@pytest.mark.parametrize(
    ("place", "meant"),
    [
        ("sed", "seed"),
        ("split.validation_fractoin", "validation_fraction"),
        ("plan.max_stage", "max_stages"),
        ("recipes.cyclical.batchsize", "batch_size"),
        ("recipes.cyclical.schedule.gama", "gamma"),
        ("recipes.polynomial.schedule.epoch", "epochs"),
        ("recipes.dropout.augmentation.rotation", "rotation_degrees"),
        ("methods.swa.checkpoint", "checkpoints"),
        ("methods.mc_dropout.pases", "passes"),
        ("test_sets.phantom-A.vendors", "vendor"),
        ("evaluation.ece.bin", "bins"),
        ("split.test_fractoin", "test_fraction"),
        ("recipes.hmc.optimiser.nestrov", "nesterov"),
        ("recipes.hmc.variant.temprature", "temperature"),
        ("recipes.biased.branch.form", "from"),
        ("methods.temperature_fitted.fold", "folds"),
        ("distortions.subject", "subjects"),
    ],
)
def test_misspelt_key_is_named_with_the_one_that_was_meant(
    make_study: MakeStudy, tiny: Settings, place: str, meant: str
) -> None:
    [problem] = problems_of(make_study, set_key(tiny, place, 1))
    assert problem.startswith(f"{place}: unknown key; did you mean {meant!r}?")
    assert meant in problem.split("allowed: ")[1].split(", ")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("split.validation_fraction", 1.0),
        ("split.validation_fraction", 0),
        ("split.test_fraction", 1.0),
        ("recipes.biased.branch.at", 1.0),
        ("recipes.bayes_by_backprop.variant.prior_sd", 0),
        ("recipes.stochastic_segmentation.variant.rank", 0),
        ("recipes.evidential.variant.annealing", 0),
        ("methods.cv_ensemble.folds", 1),
        ("recipes.dropout.dropout.p", 1.0),
        ("recipes.dropout.dropout.p", -0.1),
        ("recipes.cyclical.schedule.gamma", 1.2),
        ("recipes.cyclical.schedule.alpha_0", 0),
        ("recipes.cyclical.iterations_per_epoch", 0),
        ("recipes.cyclical.batch_size", 0),
        ("recipes.polynomial.optimiser.weight_decay", -1),
        ("recipes.polynomial.augmentation.rotation_degrees", 181),
        ("evaluation.ece.bins", 0),
        ("prediction.tile_overlap", 1.0),
        ("reporting.tsne.perplexity", 0),
        ("methods.temperature_scaling.temperature", 0),
        ("methods.deep_ensemble.size", 0),
        ("methods.calibrated_ensemble.w", list(range(-9, 9))),
        ("plan.spacing", [1.5]),
        ("seed", -1),
    ],
)
def test_value_out_of_range_is_named(
    make_study: MakeStudy, tiny: Settings, place: str, value: Any
) -> None:
    [problem] = problems_of(make_study, set_key(tiny, place, value))
    assert problem.startswith(f"{place}: ")
    assert str(value) in problem


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        ("seed", "2022", "integer"),
        ("title", ["5"], "string"),
        ("recipes.cyclical.batch_size", 2.5, "integer"),
        ("recipes.cyclical.schedule.epochs", 12.0, "integer"),
        ("evaluation.ece.bins", 100.0, "integer"),
        ("methods.mc_dropout.passes", 3.0, "integer"),
        ("recipes.cyclical.schedule.gamma", float("nan"), "number"),
        ("evaluation.poor.slice.LV", float("inf"), "number"),
        ("recipes.cyclical.augmentation.mirror", "yes", "boolean"),
        ("methods.swa", "swa", "object"),
        ("test_sets", [], "object"),
        ("methods.mc_dropout.passes", "ten", "integer"),
    ],
)
def test_value_of_the_wrong_type_is_named(
    make_study: MakeStudy, tiny: Settings, place: str, value: Any, expected: str
) -> None:
    [problem] = problems_of(make_study, set_key(tiny, place, value))
    assert problem == f"{place}: {value!r} is not of type {expected}"


@pytest.mark.parametrize("text", ["2020", "001", "1.50", "no", "null", "2020-01-01", "1:30", "~"])
@pytest.mark.parametrize("place", ["vendor", "where.site", "part", "label"])
def test_text_that_yaml_reads_as_something_else_is_to_be_put_in_quotes(
    local_config: Settings, tiny: Settings, tmp_path: Path, repository: Path, place: str, text: str
) -> None:
    test_set = tiny["test_sets"]["phantom-B"] | {"where": {}}
    set_key(test_set, place, "<text>")
    tiny["test_sets"]["phantom-B"] = test_set
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(tiny).replace("<text>", text), encoding="utf-8")
    with pytest.raises(ProblemsError) as caught:
        Study(str(file), local_config, repository / "config")
    [problem] = caught.value.problems
    assert problem.startswith(f"test_sets.phantom-B.{place}: ")
    assert problem.endswith("put it in quotes, as YAML takes it for no text")


@pytest.mark.parametrize("name", ["2020", "001", "1e3", "null", "NO", "y", "True", "NA"])
def test_a_test_set_is_called_as_it_is_written(
    local_config: Settings, tiny: Settings, tmp_path: Path, repository: Path, name: str
) -> None:
    tiny["test_sets"]["phantom-B"]["where"] = {"<name>": "x"}
    tiny["test_sets"]["<name>"] = tiny["test_sets"].pop("phantom-B")
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(tiny).replace("<name>", name), encoding="utf-8")
    study = Study(str(file), local_config, repository / "config")
    assert study["test_sets"][name]["where"] == {name: "x"}


@pytest.mark.parametrize(
    "place",
    [
        "seed",
        "split.dataset",
        "recipes.cyclical.schedule.denominator",
        "recipes.polynomial.schedule.epsilon",
        "methods.swa.label",
        "evaluation.ece",
    ],
)
def test_missing_key_is_named(make_study: MakeStudy, tiny: Settings, place: str) -> None:
    assert problems_of(make_study, set_key(tiny, place, None)) == [f"{place}: missing"]


def test_sgd_without_momentum_is_named(make_study: MakeStudy, tiny: Settings) -> None:
    tiny["recipes"]["cyclical"]["optimiser"] = {"name": "sgd", "weight_decay": 0.1}
    assert problems_of(make_study, tiny) == ["recipes.cyclical.optimiser.momentum: missing"]


def test_momentum_that_adamw_would_not_use_is_refused(
    make_study: MakeStudy, tiny: Settings
) -> None:
    tiny["recipes"]["cyclical"]["optimiser"]["momentum"] = 0.9
    [problem] = problems_of(make_study, tiny)
    assert problem.startswith("recipes.cyclical.optimiser.momentum: ")


@pytest.mark.parametrize("colour", ["red", "#FFF", "0072B2", "#0072B2\n", "#0072BG"])
def test_colour_that_is_none_is_named(make_study: MakeStudy, tiny: Settings, colour: str) -> None:
    [problem] = problems_of(make_study, set_key(tiny, "methods.vanilla.colour", colour))
    assert problem.startswith("methods.vanilla.colour: ")


def test_all_problems_of_the_schema_are_listed_at_once(
    make_study: MakeStudy, tiny: Settings
) -> None:
    set_key(tiny, "sed", 1)
    set_key(tiny, "seed", None)
    set_key(tiny, "recipes.cyclical.schedule.gamma", 2)
    set_key(tiny, "evaluation.ece.box", "heart")
    places = sorted(problem.split(":")[0] for problem in problems_of(make_study, tiny))
    assert places == ["evaluation.ece.box", "recipes.cyclical.schedule.gamma", "sed", "seed"]


def test_study_that_is_not_there_is_named_with_those_that_are(
    local_config: Settings, repository: Path
) -> None:
    with pytest.raises(CardiouqError, match="zhao2023") as caught:
        Study("zhao2023", local_config, repository / "config")
    assert all(name in str(caught.value) for name in ("demo", "laptop", "zhao2022"))


@pytest.mark.parametrize("text", ["a: [1", "a: b: c", "\tseed: 1"])
def test_file_that_is_not_yaml_is_named_with_the_line(
    local_config: Settings, repository: Path, tmp_path: Path, text: str
) -> None:
    (tmp_path / "broken.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(CardiouqError, match="line") as caught:
        Study(str(tmp_path / "broken.yaml"), local_config, repository / "config")
    assert str(tmp_path / "broken.yaml") in str(caught.value)


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "shift-jis"])
def test_file_that_is_not_utf_8_is_named(
    local_config: Settings, repository: Path, tmp_path: Path, encoding: str
) -> None:
    title = "title: 心臓\n" if encoding == "shift-jis" else "title: Größe\n"
    (tmp_path / "old.yaml").write_bytes(title.encode(encoding))
    with pytest.raises(CardiouqError, match=r"old\.yaml: is not YAML in UTF-8"):
        Study(str(tmp_path / "old.yaml"), local_config, repository / "config")


def test_empty_file_is_refused(local_config: Settings, repository: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("", encoding="utf-8")
    with pytest.raises(CardiouqError, match=r"empty\.yaml"):
        Study(str(tmp_path / "empty.yaml"), local_config, repository / "config")


def test_misspelt_key_of_the_machine_is_named(local_config: Settings, repository: Path) -> None:
    with pytest.raises(ProblemsError) as caught:
        Study("demo", local_config | {"acdcroot": "/data"}, repository / "config")
    [problem] = caught.value.problems
    assert problem.startswith("acdcroot: unknown key; did you mean 'acdc_root'?")
