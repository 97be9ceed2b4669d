"""One bit flips in a file of a finished study, and each job that reads the file runs again: it ends
with one clear error that names the file, or makes what it made before.

While the study runs each job records what it was called with, so that it can be called again, in
this process and without Snakemake.
"""

import json
import os
import pickle
import re
import runpy
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

from cardiouq.errors import CardiouqError
from cardiouq.files import reading
from cardiouq.files.writing import HASHES_FILE
from cardiouq.provenance import record
from cardiouq.provenance.describe import content_hash
from tests.paths import TINY
from tests.workflow.conftest import Workflow
from tests.workflow.test_faults import OF_TIMES, reduced, takes_long

RECORD = """\
import os, pathlib, pickle, sys, uuid
pathlib.Path(os.environ["RECORDS"], uuid.uuid4().hex).write_bytes(
    pickle.dumps((__file__, globals().get("snakemake"), sys.argv))
)
"""
FLIPS = 4
"""In a file of each kind."""
KINDS = {
    "phantom's scans": "data/phantom/**/*.nii.gz",
    "case table": "data/cases.csv",
    "split": "data/split.csv",
    "test sets": "data/test_sets.csv",
    "flags": "data/checks.csv",
    "plan": "data/plan.json",
    "images": "data/preprocessed/*_image.npy",
    "labels": "data/preprocessed/*_label.npy",
    "distorted scans": "data/distorted/*noise-1.nii.gz",
    "distorted labels": "data/distorted/*_label.nii.gz",
    "distorted images": "data/distorted/*_image.npy",
    "distorted cases": "data/distorted_cases.csv",
    "distorted test sets": "data/distorted_test_sets.csv",
    "runs": "training/*/*/run.json",
    "machines of runs": "training/*/*/machine.json",
    "histories": "training/*/*/history.csv",
    "checkpoints": "training/*/*/checkpoints/*",
    "states": "training/*/*/states/*",
    "last layers": "training/cyclical-*/*/last_layer.npy",
    "machines of predictions": "prediction/*/machine.json",
    "samples' table": "prediction/*/samples.csv",
    "what is learnt": "prediction/*/fitted.json",
    "activations": "prediction/*/activations.csv",
    "probabilities": "prediction/*/*/*_probabilities.npy",
    "segmentations": "prediction/*/*/*_segmentation.nii.gz",
    "entropies": "prediction/*/*/*[!d]_entropy.nii.gz",
    "expected entropies": "prediction/*/*/*_expected_entropy.nii.gz",
    "mutual information": "prediction/*/*/*_mutual_information.nii.gz",
    "variances": "prediction/*/*/*_variance.nii.gz",
    "samples": "prediction/*/*/*_samples.nii.gz",
    "scores of a method": "evaluation/*/*.csv",
    "summaries": "evaluation/*.csv",
    "printed tables": "reporting/tables/*.csv",
    "figures": "reporting/figures/*.png",
    "hashes of folders": f"**/{HASHES_FILE}",
    "hashes of files": "**/.*.sha256",
}
MAY_CHANGE_NOTHING = {
    # in a header
    "phantom's scans",
    "distorted scans",
    "distorted labels",
    # of a file that no job reads alone
    "hashes of folders",
    "hashes of files",
}
"""Kinds of which no job need read every bit; of all others one does."""
LEFT_OUT = (
    # which the export and the status read
    "prediction/*/asked.json",
    "evaluation/*/asked.json",
    # empty marks, of which no bit can flip
    "training/*/*/trained",
    "**/.snakemake_timestamp",
    # which no job reads of other runs than the trajectory's
    "training/[!c]*/*/last_layer.npy",
    # as a user's own: not every line is read, and problems are told as a list
    "data/phantom/acdc/*/*/Info.cfg",
    "data/phantom/mnms/*.csv",
)
"""Files up to the evaluation that are of no kind."""
SCAN_READERS = {
    "preprocess",
    "distort",
    "check_data",
    "evaluate",
    "figure_uncertainty_maps",
    "figure_distorted_examples",
    "figure_distortion_maps",
}
"""Scripts that find scans by the case table."""


@dataclass(frozen=True)
class Call:
    """A job of the study, as Snakemake called it."""

    script: Path
    snakemake: Any
    arguments: list[str]
    inputs: list[Path]
    outputs: list[Path]
    afresh: Path | None = None
    """Where a training puts its run to have it trained again."""

    def reads(self, file: Path) -> bool:
        """Whether a file is an input, or lies in the folder of one or in a run that is one."""
        name, places = self.script.stem, {file, *file.parents}
        if name == "write_provenance":
            return True
        if self.snakemake and not places.isdisjoint(self.outputs):
            return False  # it makes the file
        if file.name.endswith(".nii.gz") and "data" in file.parts:
            return name in SCAN_READERS
        if file.suffix == ".sha256":
            file = file.with_name(file.stem[1:])
        of_runs = {path.parent for path in self.inputs if path.name == "trained"}
        return not {file, *file.parents}.isdisjoint({*self.inputs, *of_runs})

    def run(self) -> str:
        """What it ends with; "" if nothing is wrong. Folders that it makes go first, as Snakemake
        has them go, and are put back where it makes none."""
        folders = [path for path in self.outputs if path.is_dir()] if self.snakemake else []
        for folder in folders:
            folder.rename(f"{folder}.aside")
        if self.afresh:
            shutil.rmtree(self.afresh, ignore_errors=True)
        sys.argv, end = self.arguments, ""
        try:
            runpy.run_path(str(self.script), {"snakemake": self.snakemake}, "__main__")
        except SystemExit as exit_:
            end = str(exit_.code or "")
        for folder in folders:
            if end:
                shutil.rmtree(folder, ignore_errors=True)
                Path(f"{folder}.aside").rename(folder)
            else:
                shutil.rmtree(f"{folder}.aside")
        return end

    def products(self) -> dict[str, Any]:
        """What it made, without what differs from run to run."""
        found: dict[str, Any] = {}
        for output in self.outputs:
            for path in [output] if output.is_file() else sorted(output.rglob("*.*")):
                if path.name == "provenance.json":
                    text = json.loads(path.read_text(encoding="utf-8"))
                    found[str(path)] = text["results"], text["state"]["data"]
                elif path.is_file() and path.name not in OF_TIMES and path.name[0] != ".":
                    with suppress(CardiouqError):  # where the bit flipped
                        found[str(path)] = content_hash(path)
        return found


def calls_of(record: Path, scripts: Path, afresh: Path) -> Iterator[Call]:
    """The job that a record is of; of a training also the same from its start."""
    file, snakemake, arguments = pickle.loads(record.read_bytes())
    script = scripts / f"{Path(file).stem.rpartition('.')[2]}.py"
    if snakemake:
        inputs, outputs = map(list, (snakemake.input, snakemake.output))
        yield Call(script, snakemake, [file], [*map(Path, inputs)], [*map(Path, outputs)])
        return
    options: dict[str, list[str]] = {}
    for argument in arguments[1:]:
        if argument.startswith("--"):
            values = options.setdefault(argument, [])
        else:
            values.append(argument)
    [output], [settings] = options.pop("--output"), options.pop("--settings")
    inputs = [Path(path) for paths in options.values() for path in paths]
    if script.stem == "predict":
        yield Call(script, None, arguments, inputs, [Path(output)])
        return
    yield Call(script, None, arguments, [Path(output, "trained")], [Path(output)])
    base = json.loads(settings)["base"]
    again = [str(afresh / record.name) if text == output else text for text in arguments]
    inputs += [Path(base)] if base else []
    yield Call(script, None, again, inputs, [], afresh / record.name)


@dataclass(frozen=True)
class Study:
    """A finished study and its jobs."""

    results: Path
    calls: list[Call]

    def readers(self, file: Path) -> list[Call]:
        """A job of each script that reads a file, and a training from its start."""
        found = {
            (call.script, call.afresh is None): call for call in self.calls if call.reads(file)
        }
        return list(found.values())

    def files(self, pattern: str) -> list[Path]:
        return [path for path in sorted(self.results.glob(pattern)) if path.is_file()]


@pytest.fixture(scope="module")
def study(
    tmp_path_factory: pytest.TempPathFactory,
    repository: Path,
    copy_repository: Callable[[Path], Path],
) -> Iterator[Study]:
    home = tmp_path_factory.mktemp("flips")
    text = TINY.read_text(encoding="utf-8")
    tiny = json.loads(json.dumps(yaml.safe_load(text)))
    settings = reduced(tiny)
    settings["recipes"]["biased"] = tiny["recipes"]["biased"]
    for name in ("temperature_fitted", "calibrated_ensemble"):
        settings["methods"][name] = tiny["methods"][name]
    (home / "flips.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    copy, records, directory = copy_repository(home / "code"), home / "records", home / "work"
    for script in (copy / "workflow" / "scripts").glob("*.py"):
        script.write_text(RECORD + script.read_text(encoding="utf-8"), encoding="utf-8")
    records.mkdir()
    directory.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECORDS", str(records))
        done = Workflow(copy, str(home / "flips.yaml"), directory).run()
        assert done.returncode == 0, done.stdout
        patch.chdir(directory)
        results = Path("results", "flips")
        [noted, *_] = results.glob("prediction/*/machine.json")
        [machine] = json.loads(noted.read_text(encoding="utf-8"))
        # the jobs' code has a line more
        patch.setattr(record, "code_hash", lambda root: machine["code"])
        patch.setenv("CARDIOUQ_DEVICE", "cpu")
        patch.setattr(sys, "argv", sys.argv)
        calls = [
            call
            for record in records.iterdir()
            for call in calls_of(record, repository / "workflow" / "scripts", home / "afresh")
        ]
        yield Study(results, sorted(calls, key=lambda call: str(call.arguments)))


@contextmanager
def flipped(file: Path, rng: Random) -> Iterator[None]:
    """One bit, anywhere; the file's time stays."""
    status, content = file.stat(), file.read_bytes()
    changed = bytearray(content)
    changed[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    file.write_bytes(changed)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    try:
        yield
    finally:
        file.write_bytes(content)


@takes_long
@pytest.mark.parametrize("kind", KINDS)
def test_a_bit_that_flips_is_one_clear_error_or_changes_nothing(study: Study, kind: str) -> None:
    rng, ends = Random(kind), Counter[str]()
    files = study.files(KINDS[kind])
    assert files
    for _ in range(FLIPS):
        file = rng.choice(files)
        is_hash = file.name == HASHES_FILE or file.suffix == ".sha256"
        named = str(file.parent if is_hash else file)
        errors = []
        with flipped(file, rng):
            for call in study.readers(file):
                before = call.products()
                errors.append(call.run())
                ends[f"{call.script.stem}: {'an error' if errors[-1] else 'the same'}"] += 1
                if errors[-1]:
                    assert re.fullmatch(r"\nERROR: [^\n]*\n", errors[-1])
                    assert named in errors[-1]
                assert call.products() == before
        assert any(errors) or kind in MAY_CHANGE_NOTHING
    print(f"{kind}: {FLIPS} flips in {len(files)} file(s): {dict(sorted(ends.items()))}")


@takes_long
def test_every_file_up_to_the_evaluation_is_of_a_kind_that_is_flipped(study: Study) -> None:
    rooms = ("data", "training", "prediction", "evaluation")
    files = {path for room in rooms for path in study.files(f"{room}/**/*")}
    # trainings that a flip has ended in another test
    files = {path for path in files if not re.search(r"\.unfinished/", str(path))}
    for pattern in (*KINDS.values(), *LEFT_OUT):
        found = set(study.files(pattern))
        assert found, pattern
        files -= found
    assert not files


@takes_long
def test_results_of_an_older_version_are_taken_up_once_with_a_sentence(
    study: Study, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is made anew, and from then on a bit that flips is an error."""
    for pattern in (HASHES_FILE, ".*.sha256"):
        for path in study.results.rglob(pattern):
            path.unlink()
    calls = study.readers(study.results / "data" / "cases.csv")
    calls += study.readers(next(study.results.glob("training/cyclical-*/*/run.json")))
    for taken_up in (True, False):
        reading._say_taken_up.cache_clear()  # as of another process
        caplog.clear()
        for call in calls:
            before = call.products()
            assert call.run() == ""
            assert call.products() == before
        said = [record.args[0] for record in caplog.records if "no hash was noted" in record.msg]
        assert len(said) == len(set(said))
        assert bool(said) is taken_up
    for pattern in (KINDS["checkpoints"], KINDS["probabilities"], KINDS["split"]):
        file = study.files(pattern)[-1]
        assert not any(call.run() for call in study.readers(file))
        with flipped(file, Random(1)):
            assert any(str(file) in call.run() for call in study.readers(file))
