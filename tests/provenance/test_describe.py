"""Whether two results come from the same state: every difference has a name."""

import json
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from cardiouq.errors import CardiouqError
from cardiouq.files.writing import (
    HASHES_FILE,
    atomic_folder,
    atomic_write,
    visible,
    write_folder_hashes,
)
from cardiouq.provenance import describe as description
from cardiouq.provenance import record
from cardiouq.provenance.compare import comparison, differences
from cardiouq.provenance.describe import describe, printed
from cardiouq.provenance.record import computing_packages, note_machine, sha256
from cardiouq.reporting.shown import own_code, shareable_settings

Provenance = dict[str, Any]
RUN = "training/polynomial-01234567/seed-0"
PREDICTION = "prediction/vanilla"
FILES = {
    "data/cases.csv": "case,image_hash,label_hash\na,11,22\nb,33,44\n",
    "data/split.csv": "dataset,subject,split\nacdc,a,train\n",
    "data/test_sets.csv": "test_set,case\nval,b\n",
    "data/plan.json": "{}",
    f"{RUN}/history.csv": "epoch,train_loss,seconds\n0,0.5,1.25\n",
    f"{PREDICTION}/fitted.json": '{"temperature": 1.5}',
    "evaluation/summary.csv": "method,value\nvanilla,0.9\n",
    "reporting/tables/table1_dice.csv": "method,value\nvanilla,0.9\n",
    "reporting/tables/cost.csv": "method,passes,training_processor_seconds\nvanilla,9,1.25\n",
    "reporting/figures/reliability.png": "picture",
    "reporting/data.html": "page",
    "benchmarks/list_cases.tsv": "s\tmax_rss\n2.5\t-\n",
    "benchmarks/predict/vanilla.tsv": "s\tmax_rss\n30\t500\n",
    "benchmarks/predict/gone.tsv": "s\tmax_rss\n99\t999\n",
    "benchmarks/train/polynomial-01234567/seed-0.tsv": "s\tmax_rss\n60\t700\n",
    "benchmarks/train/polynomial-76543210/seed-0.tsv": "s\tmax_rss\n99\t999\n",
}


@pytest.fixture
def code(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small repository that stands for this one."""
    root = tmp_path / "repository"
    copied = ("Snakefile", "workflow/Snakefile", "src/cardiouq/seeds.py", "pyproject.toml")
    for name in copied:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(repository / name, root / name)
    for module in (record, description):
        monkeypatch.setattr(module, "repository", lambda: root)
    return root


@pytest.fixture
def results(tmp_path: Path, code: Path) -> Path:
    folder = tmp_path / "results" / "tiny"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    for made in (RUN, PREDICTION):
        (folder / made).mkdir(parents=True, exist_ok=True)
        note_machine(folder / made, "cpu, A processor", "float32")
    return folder


@pytest.fixture
def write(tiny: dict[str, Any], results: Path) -> Callable[[], Provenance]:
    """Describe the results as they are now."""

    def written() -> Provenance:
        products = visible([*results.glob("reporting/*/*"), *results.glob("reporting/*.html")])
        runs = {"polynomial, seed 0": str(results / RUN)}
        shown = shareable_settings(tiny) | own_code(tiny)
        summaries = [results / "evaluation/summary.csv"]
        found = describe(results, shown, runs, ["vanilla"], summaries, products)
        text: Provenance = json.loads(json.dumps(found))
        return text

    return written


def change(path: Path, old: str, new: str) -> None:
    assert old in path.read_text(encoding="utf-8")
    with atomic_write(path) as temporary:
        text = path.read_text(encoding="utf-8").replace(old, new)
        temporary.write_text(text, encoding="utf-8")


def test_folder_is_described_by_its_file_of_hashes(
    results: Path, write: Callable[[], Provenance]
) -> None:
    found = []
    for text in ("before", "before", "after"):
        with atomic_folder(results / "reporting/viewer/cases") as folder:
            (folder / "index.html").write_text(text, encoding="utf-8")
        found.append(write()["files"]["reporting/viewer/cases"])
    assert found[0] == found[1] != found[2]


def test_same_state_and_results_have_no_difference(write: Callable[[], Provenance]) -> None:
    assert not any(differences(write(), write()).values())


@pytest.mark.parametrize(
    ("file", "old", "new", "part", "named"),
    [
        (
            "../../repository/workflow/Snakefile",
            "min_version",
            "min_version ",
            "code",
            "files.workflow/Snakefile",
        ),
        ("../../repository/src/cardiouq/seeds.py", "def", "def ", "code", "cardiouq/seeds.py"),
        ("data/cases.csv", "22", "23", "data", "cases.hash"),
        ("data/cases.csv", "b,33,44\n", "", "data", "cases.volumes: 2 -> 1"),
        ("data/split.csv", "train", "test", "data", "split.csv"),
        ("data/test_sets.csv", "val", "A", "data", "test_sets.csv"),
        ("data/plan.json", "{}", "[]", "data", "plan.json"),
        (f"{RUN}/machine.json", "A proc", "Another proc", "device", "runs.polynomial, seed 0"),
        (f"{RUN}/machine.json", "float32", "bfloat16", "device", "cpu, A processor, bfloat16"),
        (f"{PREDICTION}/machine.json", "A proc", "Another proc", "device", "predictions.vanilla"),
        (f"{RUN}/history.csv", "0.5", "0.6", "results", "history.csv"),
        ("evaluation/summary.csv", "0.9", "0.8", "results", "evaluation/summary.csv"),
        ("reporting/tables/table1_dice.csv", "0.9", "0.8", "results", "table1_dice.csv"),
        ("reporting/tables/cost.csv", ",9,", ",8,", "results", "cost.csv"),
        ("reporting/figures/reliability.png", "pict", "Pict", "results", "reliability.png"),
    ],
)
def test_changed_file_is_named_in_its_part_alone(
    write: Callable[[], Provenance],
    results: Path,
    file: str,
    old: str,
    new: str,
    part: str,
    named: str,
) -> None:
    before = write()
    change(results / file, old, new)
    found = differences(before, write())
    assert [key for key, lines in found.items() if lines] == [part]
    assert any(named in line for line in found[part])


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        (f"{RUN}/history.csv", "1.25", "9.75"),
        ("reporting/tables/cost.csv", "1.25", "9.75"),
        ("benchmarks/list_cases.tsv", "2.5", "3.5"),
    ],
)
def test_times_are_apart(
    write: Callable[[], Provenance], results: Path, file: str, old: str, new: str
) -> None:
    before = write()
    change(results / file, old, new)
    after = write()
    assert not any(differences(before, after).values())
    before["times"]["written"] = after["times"]["written"]
    assert before != after


def test_changed_setting_is_named(write: Callable[[], Provenance], tiny: dict[str, Any]) -> None:
    before = write()
    tiny["seed"] = 1
    tiny["methods"]["mc_dropout"]["passes"] = 9
    found = differences(before, write())
    assert found["config"] == ["seed: 2022 -> 1", "methods.mc_dropout.passes: 3 -> 9"]


def test_other_package_and_processor_are_named(
    write: Callable[[], Provenance], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = write()
    monkeypatch.setattr(record, "version", lambda name: "0.0")
    monkeypatch.setattr(description, "processor", lambda: "another")
    found = differences(before, write())
    assert any(line.startswith("torch: ") and line.endswith("-> 0.0") for line in found["packages"])
    assert [line.split(":")[0] for line in found["device"]] == ["processor"]


def test_run_of_older_code_is_named(
    write: Callable[[], Provenance], code: Path, results: Path
) -> None:
    before = write()
    change(code / "workflow/Snakefile", "min_version", "min_version ")
    (results / RUN / "machine.json").unlink()
    note_machine(results / RUN, "cpu, A processor", "float32")
    change(code / "workflow/Snakefile", "min_version ", "min_version")
    found = differences(before, write())
    assert [line.split(":")[0] for line in found["code"]] == ["runs.polynomial, seed 0"]


def test_run_of_another_package_is_named_and_printed(
    write: Callable[[], Provenance], results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = write()
    (results / RUN / "machine.json").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(record, "version", lambda name: "0.0" if name == "torch" else version(name))
        note_machine(results / RUN, "cpu, A processor", "float32")
    after = write()
    found = differences(before, after)
    assert [part for part, lines in found.items() if lines] == ["packages"]
    [line] = found["packages"]
    assert line.startswith("runs.polynomial, seed 0: python ")
    assert f"torch {version('torch')}" in line and "torch 0.0" in line
    [printed_text] = [text for _, what, text in printed(after) if "torch 0.0" in text]
    assert "monai" in printed_text


def test_note_of_an_earlier_version_says_no_packages(
    write: Callable[[], Provenance], results: Path
) -> None:
    change(results / RUN / "machine.json", ',\n  "packages": "' + computing_packages() + '"', "")
    assert write()["state"]["packages"]["runs"] == {"polynomial, seed 0": "not recorded"}


def test_run_that_moved_has_been_on_two_machines_each_once(results: Path) -> None:
    for name in ("cpu, Another", "cpu, A processor"):
        note_machine(results / RUN, name, "float32")
    machines = json.loads((results / RUN / "machine.json").read_text(encoding="utf-8"))
    assert [machine["device"] for machine in machines] == ["cpu, A processor", "cpu, Another"]


def test_folders_of_the_machine_are_left_out(
    write: Callable[[], Provenance], tiny: dict[str, Any], tmp_path: Path
) -> None:
    tiny["datasets"]["phantom-acdc"]["source"] = "/secret/scans"
    tiny["methods"]["vanilla"]["method"] = f"{tmp_path}/own.py"
    (tmp_path / "own.py").write_text("", encoding="utf-8")
    text = json.dumps(write())
    assert "secret" not in text
    assert str(tmp_path) not in text
    assert write()["state"]["config"]["own code"].keys() == {"own.py"}


def test_times_are_of_the_study_s_jobs(write: Callable[[], Provenance]) -> None:
    times = write()["times"]
    assert times["rules"] == {
        "list_cases": {"jobs": 1, "seconds": 2.5, "peak_mib": None},
        "predict": {"jobs": 1, "seconds": 30, "peak_mib": 500},
        "train": {"jobs": 1, "seconds": 60, "peak_mib": 700},
    }
    assert times["training_seconds"] == pytest.approx(1.25, abs=0.06)


def test_printed_form_has_code_seed_data_packages_device_times_and_files(
    write: Callable[[], Provenance],
) -> None:
    rows = printed(write())
    assert [part for part, _, _ in rows if part] == [
        "Code",
        "Config",
        "Data",
        "Packages",
        "Device",
        "Wall time",
        "SHA-256",
    ]
    what = {name: value for _, name, value in rows}
    assert what["seed"] == "2022"
    assert what["1 run(s)"] == "cpu, A processor, float32"
    assert what["train"] == "1 job(s), 60 s, 700 MiB"
    assert what["tables/table1_dice.csv"] == sha256(
        FILES["reporting/tables/table1_dice.csv"].encode()
    )
    assert "data.html" not in what


@pytest.mark.parametrize("same", [True, False])
def test_comparison_ends_with_the_verdict(
    write: Callable[[], Provenance], results: Path, same: bool
) -> None:
    before = write()
    if not same:
        change(results / "reporting/tables/table1_dice.csv", "0.9", "0.8")
    lines = list(comparison(before, write()))
    assert ("results: the same" in lines) is same
    assert lines[-1].startswith("The same state" + (" and the same" if same else ", yet"))


def test_leftovers_of_settings_taken_out_are_of_no_account(
    write: Callable[[], Provenance], results: Path, tiny: dict[str, Any]
) -> None:
    """Of a block of distortions or of repeats, and of a method, that a study had once."""
    del tiny["distortions"]
    before = write()
    for name in ("evaluation/repeats.csv", "evaluation/gone/scores.csv"):
        (results / name).parent.mkdir(exist_ok=True)
        with atomic_write(results / name) as temporary:
            temporary.write_text("case\n", encoding="utf-8")
    shutil.copy(results / "data/cases.csv", results / "data/distorted_cases.csv")
    after = write()
    assert not any(differences(before, after).values())
    assert "evaluation/gone/scores.csv" not in after["handed on"]


def test_all_that_jobs_hand_on_has_its_hash(write: Callable[[], Provenance], results: Path) -> None:
    """Of a folder that of its own list of hashes, which changes with any file; and none of it is
    compared, as machines and times are in it."""
    (results / RUN / "checkpoints").mkdir()
    (results / RUN / "checkpoints" / "epoch-0007.safetensors").write_bytes(b"weights")
    (results / PREDICTION / "val").mkdir()
    (results / PREDICTION / "val" / "a_probabilities.npy").write_bytes(b"probabilities")
    (results / "training/polynomial-76543210/seed-0").mkdir(parents=True)
    for folder in (RUN, f"{PREDICTION}/val", "training/polynomial-76543210/seed-0"):
        write_folder_hashes(results / folder)
    before = write()
    intermediate_hashes = before["handed on"]
    assert sorted(intermediate_hashes) == sorted(
        [
            *(f"data/{name}" for name in ("cases.csv", "split.csv", "test_sets.csv", "plan.json")),
            "evaluation/summary.csv",
            f"{RUN}/{HASHES_FILE}",
            f"{PREDICTION}/val/{HASHES_FILE}",
            f"{PREDICTION}/fitted.json",
            f"{PREDICTION}/machine.json",
        ]
    )
    assert intermediate_hashes["data/plan.json"] == sha256(b"{}")
    (results / RUN / "checkpoints" / "epoch-0007.safetensors").write_bytes(b"other weights")
    write_folder_hashes(results / RUN)
    after = write()
    assert not any(differences(before, after).values())
    [changed] = [
        name
        for name in intermediate_hashes
        if intermediate_hashes[name] != after["handed on"][name]
    ]
    assert changed == f"{RUN}/{HASHES_FILE}"


@pytest.mark.parametrize("text", ["", "[1.5]", '{"temperature": NaN}', '{"temperature": 1.'])
def test_what_was_learnt_and_cannot_be_read_is_an_error_that_names_it(
    write: Callable[[], Provenance], results: Path, text: str
) -> None:
    file = results / PREDICTION / "fitted.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(CardiouqError) as caught:
        write()
    assert str(caught.value).startswith(f"{file}: ")
