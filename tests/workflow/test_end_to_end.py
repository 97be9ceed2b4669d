"""The tiny study from generated scans to printed tables, and what makes it work again."""

import json
import os
import re
import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from cardiouq.files.writing import hash_file_of, visible
from tests.workflow.expected import DISTORTED, FIGURES, MAPS, METHODS, PRINTED, TABLES, TEST_SETS

Newer = Callable[[list[Path]], AbstractContextManager[None]]
Longer = Callable[[Path, str], AbstractContextManager[None]]
Edited = Longer


def case_table(workflow: Any) -> pd.DataFrame:
    data = workflow.results / "data"
    tables = [pd.read_csv(data / name) for name in ("cases.csv", "distorted_cases.csv")]
    return pd.concat(tables).set_index("case")


@pytest.mark.parametrize(("folder", "names"), [("tables", TABLES), ("figures", FIGURES)])
def test_every_table_and_figure_is_written(finished: Any, folder: str, names: set[str]) -> None:
    files = visible((finished.results / "reporting" / folder).iterdir())
    assert {file.name for file in files} == names
    assert min(file.stat().st_size for file in files) > 200


def test_viewer_has_every_test_case_and_no_distorted_one(finished: Any) -> None:
    tested = pd.read_csv(finished.results / "data/test_sets.csv")["case"]
    files = list((finished.results / "reporting/cases").glob("case-*.js"))
    assert len(files) == tested.nunique() == 18


def test_tables_have_every_method_on_every_test_set(finished: Any) -> None:
    tables = finished.results / "reporting" / "tables"
    expected = {(method, test_set) for method in METHODS for test_set in TEST_SETS}
    for name in set(PRINTED) - {"verdict", "comparisons", "aggregations"}:
        pairs = set(pd.read_csv(tables / f"{name}.csv").groupby(["method", "test_set"]).groups)
        has_distorted = name in ("failure_detection", "shift")
        assert pairs >= expected if has_distorted else pairs == expected


def test_no_half_written_or_scratch_file_is_left(finished: Any) -> None:
    hidden = {path for path in finished.results.rglob(".*") if path.suffix != ".sha256"}
    assert {path.name for path in hidden} <= {".snakemake_timestamp"}
    sealed = {path.name[1 : -len(".sha256")] for path in finished.results.rglob(".*.sha256")}
    assert sealed <= {path.name for path in finished.results.rglob("*")}


@pytest.mark.parametrize("method", METHODS)
def test_every_written_volume_has_its_case_s_geometry(finished: Any, method: str) -> None:
    cases = case_table(finished)
    paths = list((finished.results / "prediction" / method).rglob("*.nii.gz"))
    own = ("expected_entropy",) if method == "calibrated_ensemble" else ()  # it takes no mean
    kinds = (*own, *MAPS) if METHODS[method] > 1 else MAPS[:2]
    # 5 validation subjects, 2 of each vendor, and thrice a distorted one, at two phases
    assert len(paths) == 24 * len(kinds)
    for path in paths:
        kind = next(kind for kind in kinds if path.name.endswith(f"_{kind}.nii.gz"))
        case = path.name.removesuffix(f"_{kind}.nii.gz")
        image = nib.load(Path(finished.directory, cases.loc[case, "image"]))
        written = nib.load(path)
        np.testing.assert_array_equal(written.affine, image.affine)
        assert written.header.get_zooms()[:3] == image.header.get_zooms()[:3]
        samples = (METHODS[method],) if kind == "samples" else ()
        assert written.shape == (*image.shape[:3], *samples)
        labels = kind in ("segmentation", "samples")
        assert written.get_data_dtype() == (np.uint8 if labels else np.float32)


@pytest.mark.parametrize("method", METHODS)
def test_predictions_are_distributions_and_agree_with_one_another(
    finished: Any, method: str
) -> None:
    for test_set in (*TEST_SETS, *DISTORTED):
        folder = finished.results / "prediction" / method / test_set
        path = sorted(folder.glob("*_probabilities.npy"))[0]
        probabilities = np.load(path).astype(np.float64)
        assert probabilities.shape[0] == 4
        assert probabilities.min() >= 0
        np.testing.assert_allclose(probabilities.sum(0), 1, atol=3e-3)
        stem = path.name.removesuffix("_probabilities.npy")
        segmentation = np.asarray(nib.load(folder / f"{stem}_segmentation.nii.gz").dataobj).T
        chosen = np.take_along_axis(probabilities, segmentation[None].astype(int), 0)[0]
        assert (chosen >= probabilities.max(0) - 1e-3).all()
        entropy = np.asarray(nib.load(folder / f"{stem}_entropy.nii.gz").dataobj)
        assert entropy.min() >= -1e-6
        assert 0 < entropy.max() <= 2


def test_samples_table_says_what_each_method_drew(finished: Any) -> None:
    tables = {
        method: pd.read_csv(finished.results / "prediction" / method / "samples.csv")
        for method in METHODS
    }
    assert {method: len(table) for method, table in tables.items()} == METHODS
    assert tables["checkpoint_ensemble_multi"]["epoch"].tolist() == [2, 3, 6, 7, 10, 11]
    assert tables["checkpoint_ensemble_single"]["epoch"].tolist() == [10, 11]
    assert tables["deep_ensemble"]["member"].tolist() == [0, 1]
    assert tables["hmc_cp"]["epoch"].tolist() == [3, 7, 11]
    assert tables["cv_ensemble"]["member"].tolist() == ["0-fold-0-of-2", "0-fold-1-of-2"]
    assert tables["calibrated_ensemble"]["member"].tolist() == ["0-branch-1", "0-branch+1"]
    for table in tables.values():
        assert (table["processor_seconds"] > 0).all()


def test_what_methods_learnt_from_held_out_subjects_is_written(finished: Any) -> None:
    fitted = {
        method: json.loads(
            (finished.results / "prediction" / method / "fitted.json").read_text(encoding="utf-8")
        )
        for method in METHODS
    }
    assert fitted["temperature_scaling"] == {"temperature": 1.5}
    # the five training subjects of the split, each held out once, at two phases
    assert fitted["temperature_fitted"]["volumes"] == 10
    assert 0.1 < fitted["temperature_fitted"]["temperature"] < 10
    assert fitted["vector_scaling"]["volumes"] == 10
    assert np.shape(fitted["isotonic"]["probabilities"])[0] == 4
    calibrated = fitted["calibrated_ensemble"]
    assert calibrated["w"] == [-1, 1]
    assert np.shape(calibrated["count"]) == (4, 3)  # classes, votes from 0 to 2
    assert fitted["checkpoint_ensemble_single"] == {"0": [10, 11]}
    assert fitted["bbb"] == {}


def test_branches_hold_the_epochs_after_those_of_their_base(finished: Any) -> None:
    branches = sorted((finished.results / "training").glob("biased-*/seed-*"))
    assert [branch.name for branch in branches] == [
        f"seed-0-fold-{fold}-of-2-branch{w}" for fold in (0, 1) for w in ("+1", "-1")
    ]
    for branch in branches:
        fold = branch.name.split("-branch")[0]
        [base] = (finished.results / "training").glob(f"polynomial-*/{fold}")
        assert [path.name for path in (base / "states").iterdir()] == ["epoch-0005.safetensors"]
        history, whole = (pd.read_csv(f / "history.csv")["epoch"].tolist() for f in (branch, base))
        assert (history, whole) == ([6, 7], list(range(8)))
        layers, shared = (np.load(folder / "last_layer.npy") for folder in (branch, base))
        np.testing.assert_array_equal(layers[:6], shared[:6])
        assert (layers[6:] != shared[6:]).any(1).all()
        fingerprints = {
            json.loads((f / "run.json").read_text(encoding="utf-8"))["data_fingerprint"]
            for f in (branch, base)
        }
        assert len(fingerprints) == 1


def test_temperature_scaling_shares_vanilla_s_run_and_not_its_probabilities(
    finished: Any,
) -> None:
    folders = [finished.results / "prediction" / m for m in ("vanilla", "temperature_scaling")]
    vanilla, scaled = (np.load(min(f.rglob("*_probabilities.npy"))) for f in folders)
    assert scaled.max() < vanilla.max()
    assert len(list((finished.results / "training").glob("*/seed-*"))) == 17


def test_subjects_of_the_test_set_were_not_trained_on(finished: Any) -> None:
    data = finished.results / "data"
    split = pd.read_csv(data / "split.csv")
    tables = ("test_sets.csv", "distorted_test_sets.csv")
    test_sets = pd.concat(pd.read_csv(data / name) for name in tables)
    tested = case_table(finished).loc[test_sets["case"], "subject"]
    trained = split.loc[split["split"] == "train", "subject"]
    assert len(trained) == 5
    assert set(tested).isdisjoint(trained)


def test_intervals_and_shift_are_learnt_from_subjects_in_domain(finished: Any) -> None:
    """Five, of two volumes each; one of them is told of by the four others."""
    evaluation = finished.results / "evaluation"
    conformal = pd.read_csv(evaluation / "conformal.csv")
    for test_set, counts in conformal.groupby("test_set")["n_calibrated"]:
        assert set(counts) == {4 if test_set in ("phantom-val", *DISTORTED) else 5}
    shift = pd.read_csv(evaluation / "shift.csv")
    assert set(shift.loc[shift["test_set"].isin(TEST_SETS), "n_reference"]) == {10}


def test_time_per_slice_is_that_of_all_slices_that_were_predicted(finished: Any) -> None:
    """The distorted ones among them."""
    costs = pd.read_csv(finished.results / "reporting/tables/cost.csv").set_index("method")
    tables = [finished.results / "data" / f"{of}test_sets.csv" for of in ("", "distorted_")]
    tested = pd.concat(map(pd.read_csv, tables))["case"]
    slices = case_table(finished).loc[tested, "slices"].sum()
    for method in METHODS:
        samples = pd.read_csv(finished.results / "prediction" / method / "samples.csv")
        found = costs.loc[[method], "prediction_processor_seconds_per_slice"].unique()
        assert found == pytest.approx([samples["processor_seconds"].sum() / slices], rel=1e-4)


def test_report_holds_the_answer_tables_figures_and_captions_and_no_folder(
    finished: Any,
    shared_files: Callable[[Path], list[Path]],
    found_in: Callable[[Sequence[Path], set[str]], set[tuple[str, str]]],
) -> None:
    report = (finished.results / "report.html").read_text(encoding="utf-8")
    assert "The numbers say that the tests ran." in report
    assert all(f'id="table-{table}"' in report for table in PRINTED)
    pictures = {name.removesuffix(".png") for name in FIGURES if name.endswith(".png")}
    assert all(f'id="figure-{picture}"' in report for picture in pictures)
    assert "10 volumes of 5 subjects" in report
    assert "Checkpoints of one cyclical run" in report  # a caption
    assert "Data of Tiny study" in report
    folders = {finished.directory, finished.repository, Path(finished.study).parent, Path.home()}
    assert not found_in(shared_files(finished.results), {*map(str, folders), "/tmp/"})


def test_repeats_are_counted_and_differ(finished: Any) -> None:
    table = pd.read_csv(finished.results / "reporting" / "tables" / "repeats.csv")
    of_dice = table.query("metric == 'dice' and structure == 'LV'")
    repeats = of_dice.groupby("method")["n_repeats"].unique().map(lambda found: found.item())
    assert repeats.to_dict() == dict.fromkeys(METHODS, 1) | {"vanilla": 2}
    assert (of_dice.loc[of_dice["method"] == "vanilla", "sd"] > 0).all()
    predicted = finished.results / "prediction" / "vanilla-repeat-2"
    assert pd.read_csv(predicted / "samples.csv")["member"].tolist() == [1]
    assert not list(predicted.glob("*+*"))  # nothing distorted


def test_distortions_are_of_every_method_at_every_degree(finished: Any) -> None:
    table = pd.read_csv(finished.results / "evaluation" / "distortions.csv")
    assert set(table["method"]) == set(METHODS)
    places = {("noise", 0), ("noise", 1), ("noise", 2), ("stretch", 0), ("stretch", 1)}
    for _, rows in table.groupby("method"):
        assert set(zip(rows["kind"], rows["place"], strict=True)) == places
    assert set(table["n_subjects"]) == {1}
    verdict = pd.read_csv(finished.results / "reporting" / "tables" / "verdict.csv")
    found = verdict.query("kind == 'finding'")["method"]
    assert set(found) == {"vanilla", "mcd_0_1", "mcd_0_5", "bbb", "deep_ensemble", "ssn"}


def test_findings_are_printed_beside_no_paper_too(finished: Any, edited: Edited) -> None:
    text = Path(finished.study).read_text(encoding="utf-8")
    for paper in ("zhao2022", "acdc-val", "mnms-A", "mnms-B"):
        text = text.replace(f"published: {paper}", "published: null")
    with edited(Path(finished.study), text):
        assert "print_verdict" in finished.plan("--forceall").jobs


def test_study_without_distortions_has_no_figures_of_them(finished: Any, edited: Edited) -> None:
    text = Path(finished.study).read_text(encoding="utf-8")
    before, rest = text.split("distortions:\n")
    with edited(Path(finished.study), before + rest[rest.index("prediction:") :]):
        planned = finished.plan("--forceall")
    assert not [rule for rule in planned.jobs if "distort" in rule]
    assert "figure_dataset_shift" in planned.jobs


def test_study_without_a_checkpoint_ensemble_has_no_figures_of_a_trajectory(
    finished: Any, edited: Edited
) -> None:
    lines = Path(finished.study).read_text(encoding="utf-8").splitlines()
    # the blocks of these methods, hmc_cp's among them, hold the name on each of their lines
    kept = [line for line in lines if "checkpoint_ensemble" not in line]
    with edited(Path(finished.study), "\n".join(kept)):
        planned = finished.plan("--forceall")
    drawn = {rule for rule in planned.jobs if rule.startswith("figure_")}
    of_trajectories = {"figure_checkpoints", "figure_tsne"}
    figures = {rule for rule in finished.plan("--forceall").jobs if rule.startswith("figure_")}
    assert drawn == figures - of_trajectories
    assert of_trajectories < figures


def test_settings_that_are_new_with_a_default_make_nothing_anew(
    finished: Any, edited: Edited
) -> None:
    schema = finished.repository / "config/schemas/study.schema.yaml"
    text = schema.read_text(encoding="utf-8")
    for block in ("plan", "split", "dropout", "distortions"):
        keys = re.compile(rf"^( +){block}:\n(?:\1  .*\n)*?\1  properties:\n", re.MULTILINE)
        new = r"\g<0>\g<1>    a_new_one: {default: 5, type: integer}\n"
        text, count = keys.subn(new, text, count=1)
        assert count == 1
    with edited(schema, text):
        planned = finished.plan()
    made = {"list_cases", "split_subjects", "make_plan", "preprocess", "distort", "train"}
    assert {*made, "predict", "evaluate"}.isdisjoint(planned.jobs)


def test_second_run_has_nothing_to_do(finished: Any) -> None:
    done = finished.run()
    assert done.returncode == 0
    assert "Nothing to be done" in done.stdout


@pytest.mark.parametrize("pattern", ["data/phantom/**/*", "data/**/*"])
def test_newer_data_train_nothing_again(finished: Any, newer: Newer, pattern: str) -> None:
    """Be it the scans, from which all else is made anew, or all that trainings read."""
    with newer(list(finished.results.glob(pattern))):
        assert finished.plan().trainings == []


@pytest.mark.parametrize("name", ["cases.csv", "split.csv", "plan.json"])
def test_changed_data_are_predicted_again_and_train_nothing_again(
    finished: Any, longer: Longer, name: str
) -> None:
    file = finished.results / "data" / name
    noted = hash_file_of(file).read_bytes()
    with longer(file, "\n"):
        hash_file_of(file).unlink()  # it is changed on purpose
        planned = finished.plan()
    hash_file_of(file).write_bytes(noted)
    assert planned.trainings == []
    assert (planned.jobs["predict"], planned.jobs["predict_repeat"]) == (len(METHODS), 1)


def test_newer_code_and_config_train_nothing_again(finished: Any, newer: Newer) -> None:
    patterns = ("src/**/*.py", "workflow/**/*.*", "config/**/*.yaml")
    files = [path for pattern in patterns for path in finished.repository.glob(pattern)]
    with newer([*files, Path(finished.study)]):
        planned = finished.plan()
    assert planned.trainings == []
    assert "predict" not in planned.jobs


def test_changed_training_code_trains_nothing_again(finished: Any, longer: Longer) -> None:
    comment = "\n# a comment\n"
    with (
        longer(finished.repository / "src/cardiouq/training/train.py", comment),
        longer(finished.repository / "workflow/scripts/train.py", comment),
    ):
        assert finished.plan().trainings == []


@pytest.mark.parametrize(
    ("module", "version", "rule"),
    [
        ("data/case_table.py", "FORMAT_VERSION", "list_cases"),
        ("data/preprocessing.py", "ARRAYS_VERSION", "preprocess"),
    ],
)
def test_another_version_of_tables_or_arrays_makes_them_anew_and_trains_nothing(
    finished: Any, edited: Edited, module: str, version: str, rule: str
) -> None:
    path = finished.repository / "src/cardiouq" / module
    text, count = re.subn(
        rf"^{version} = ", r"\g<0>1", path.read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    assert count == 1
    with edited(path, text):
        planned = finished.plan()
    assert planned.jobs[rule] == 1
    assert planned.jobs["predict"] == len(METHODS)
    assert planned.trainings == []


def test_another_device_trains_nothing_again(finished: Any) -> None:
    assert finished.plan(config=["device=cpu"]).trainings == []


def test_changed_code_draws_the_figures_that_it_draws_and_no_others(
    finished: Any, longer: Longer
) -> None:
    """Whatever the date of the file; `test_imports` knows which code is whose."""
    path = finished.repository / "src/cardiouq/reporting/figures/checkpoints.py"
    with longer(path, "\n# new\n"):
        os.utime(path, (0, 0))
        jobs = finished.plan().jobs
    figures = ["figure_checkpoints", "figure_tsne"]  # one imports the other
    assert jobs == dict.fromkeys([*figures, "write_provenance", "write_report", "all"], 1)


def test_changed_metric_is_computed_again_and_nothing_is_predicted_again(
    finished: Any, longer: Longer
) -> None:
    with longer(finished.repository / "src/cardiouq/evaluation/overlap.py", "\n# new\n"):
        jobs = finished.plan().jobs
    assert jobs["evaluate"] == len(METHODS) + 1  # and the repeat
    assert {"predict", "train", "preprocess"}.isdisjoint(jobs)


@pytest.mark.parametrize(
    ("before", "after", "trainings"),
    [
        ("p: 0.1, place: all", "p: 0.2, place: all", ["dropout 0"]),
        ("alpha_r: 0.01", "alpha_r: 0.02", ["cyclical 0"]),
        ("size: 2}", "size: 3}", ["polynomial 2"]),
        ("kl_weight: 10", "kl_weight: 1", ["bayes_by_backprop 0"]),
        ("w: [-1, 1]", "w: [-1, 0, 1]", [f"biased 0-fold-{k}-of-2-branch+0" for k in (0, 1)]),
        (
            "at: 0.75",
            "at: 0.5",
            [
                *(f"biased 0-fold-{k}-of-2-branch{w}" for k in (0, 1) for w in ("+1", "-1")),
                *(f"polynomial 0-fold-{k}-of-2" for k in (0, 1)),
            ],
        ),
        ("calibration: count", "calibration: pattern", []),
        ("skip: 4", "skip: 5", []),
        ("temperature: 1.5", "temperature: 2.5", []),
        ("passes: 3", "passes: 2", []),
        ("title: Tiny study", "title: Another", []),
        ("note: The numbers", "note: These numbers", []),
        ("perplexity: 30", "perplexity: 5", []),
        ("stretch: [0.5]", "stretch: [0.6]", []),
    ],
)
def test_changed_setting_trains_what_depends_on_it_alone(
    finished: Any, edited: Edited, before: str, after: str, trainings: list[str]
) -> None:
    text = Path(finished.study).read_text(encoding="utf-8")
    assert before in text
    with edited(Path(finished.study), text.replace(before, after)):
        planned = finished.plan()
    assert planned.trainings == trainings
    assert planned.jobs["all"] == 1  # something is printed again
    assert "preprocess" not in planned.jobs


def test_results_copied_elsewhere_train_nothing_again(finished: Any, tmp_path: Path) -> None:
    shutil.copytree(finished.directory / "results", tmp_path / "results", copy_function=os.link)
    planned = finished.plan(directory=tmp_path)
    assert planned.trainings == []
    assert "make_phantom" not in planned.jobs


def test_finished_run_whose_end_snakemake_did_not_see_is_kept(
    finished: Any, tmp_path: Path
) -> None:
    for folder in ("data", "training"):
        shutil.copytree(finished.results / folder, tmp_path / "results" / "tiny" / folder)
    [mark] = tmp_path.glob("results/tiny/training/cyclical-*/seed-0/trained")
    weights = list(mark.parent.glob("checkpoints/*"))
    written = [path.stat().st_mtime_ns for path in weights]
    mark.unlink()
    done = finished.run(str(mark.relative_to(tmp_path)), directory=tmp_path)
    assert done.returncode == 0, done.stdout
    assert mark.exists()
    assert [path.stat().st_mtime_ns for path in weights] == written


def test_newer_scans_are_listed_again_and_train_nothing_again(
    finished: Any, newer: Newer, tmp_path: Path
) -> None:
    """With scans from a folder, as real ones are; the outputs of all jobs are stand-ins."""
    text = Path(finished.study).read_text(encoding="utf-8")
    text = re.sub(r"^phantom:.*\n", "", text, flags=re.MULTILINE)
    for layout in ("acdc", "mnms"):
        text = text.replace(f"{layout}, source: phantom", f"{layout}, source: {layout}_root")
    study, work = tmp_path / "scans.yaml", tmp_path / "work"
    study.write_text(text, encoding="utf-8")
    scans = finished.results / "data" / "phantom"
    roots = [f"{layout}_root={scans / layout}" for layout in ("acdc", "mnms")]
    listed = finished.run("list_cases", study=str(study), directory=work, config=roots)
    assert listed.returncode == 0, listed.stdout
    summary = finished.run("--summary", study=str(study), directory=work, config=roots)
    outputs = [
        work / line.split("\t")[0]
        for line in summary.stdout.splitlines()
        if line.startswith("results/scans/")
    ]
    assert any(output.name == "trained" for output in outputs)
    for output in outputs:
        if output.exists():
            continue
        if output.suffix or output.name == "trained":
            output.parent.mkdir(parents=True, exist_ok=True)
            table = finished.results / "data" / output.name
            output.write_bytes(table.read_bytes() if table.is_file() else b"")
        else:
            output.mkdir(parents=True, exist_ok=True)
            (output / ".snakemake_timestamp").touch()
    with newer(list(scans.rglob("*.nii.gz"))):
        planned = finished.plan(study=str(study), directory=work, config=roots)
    assert planned.jobs["list_cases"] == 1
    assert planned.trainings == []
