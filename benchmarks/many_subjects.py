"""Ten thousand subjects: time, memory and open files of all that grows with them.

    make bench-subjects

The scans are random, 16 x 16 x 4 voxels, of both phases, in a temporary folder; every step runs in
a process of its own. `read` is nibabel's reading of each image and label once, for comparison with
`list`. Prints Markdown, for docs/results.
"""

import gzip
import json
import logging
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
import yaml
from tabulate import tabulate

from cardiouq.data.case_table import read_case_table
from cardiouq.data.cases import make_case_table
from cardiouq.data.distorted import choose_subjects
from cardiouq.data.fingerprint import fingerprint_of
from cardiouq.data.integrity import check_cases, read_checks
from cardiouq.data.plan import Plan, make_plan
from cardiouq.data.preprocessing import preprocess_case
from cardiouq.data.readers.found import DataFolder
from cardiouq.data.split import cases_of, hold_out, read_split, select_test_cases, split_subjects
from cardiouq.data.state import state_of
from cardiouq.device.environment import processor
from cardiouq.files.documents import read_yaml
from cardiouq.reporting.captions import count_volumes
from cardiouq.reporting.data_page import make_data_page
from cardiouq.study.schema import filled_in
from cardiouq.training.patches import PatchSampler

ROOT = Path(__file__).parents[1]
SUBJECTS = (1_000, 10_000)
SHAPE = (16, 16, 4)
AFFINE = np.diag([1.5, 1.5, 8.0, 1.0])
LABELS = {"RV": 1, "MYO": 2, "LV": 3}
SEED = 2022
OPEN_FILES = 1024
"""What a process may have by default on most machines."""
BATCHES = 50
TEST_SET = filled_in(
    {"phantom-val": {"dataset": "phantom-acdc", "split": "validation"}}, "test_sets"
)


def make_scans(folder: Path, subjects: int) -> None:
    """A data set of the layout `csv` and a study of it, the demo study's otherwise."""
    rng = np.random.default_rng(SEED)
    scans = folder / "scans"
    rows = ["subject,phase,image,label"]
    for number in range(subjects):
        subject = scans / f"s{number:05}"
        subject.mkdir(parents=True)
        for phase in ("ED", "ES"):
            for name, dtype, most in (("", np.int16, 1000), ("_label", np.uint8, 4)):
                scan = nib.Nifti1Image(rng.integers(0, most, SHAPE, dtype), AFFINE).to_bytes()
                file = subject / f"{phase}{name}.nii.gz"
                file.write_bytes(gzip.compress(scan, 1))
            rows.append(
                f"{subject.name},{phase},"
                f"{subject.name}/{phase}.nii.gz,{subject.name}/{phase}_label.nii.gz"
            )
    (scans / "cases.csv").write_text("\n".join(rows), encoding="utf-8")
    settings: dict[str, Any] = read_yaml(ROOT / "config" / "studies" / "demo.yaml")
    settings["datasets"]["phantom-acdc"] = {
        "layout": "csv",
        "source": "./scans",
        "labels": LABELS,
    }
    (folder / "many.yaml").write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")


def data_of(folder: Path) -> DataFolder:
    return DataFolder("csv", folder / "scans", labels=LABELS)


def tables_of(folder: Path) -> tuple[Any, Any]:
    """The case table and the split, as jobs read them."""
    return read_case_table(folder / "cases.csv"), read_split(folder / "split.csv")


def read(folder: Path) -> None:
    for path in (folder / "scans").glob("*/*.nii.gz"):
        np.asarray(nib.load(path).dataobj)


def list_cases(folder: Path) -> None:
    cases = make_case_table({"phantom-acdc": data_of(folder)})
    cases.to_csv(folder / "cases.csv", index=False)


def watch(folder: Path) -> None:
    state_of(data_of(folder))


def split(folder: Path) -> None:
    cases = read_case_table(folder / "cases.csv")
    sides = split_subjects(cases, "phantom-acdc", 0.2, 0, SEED)
    sides.to_csv(folder / "split.csv", index=False)
    select_test_cases(cases, sides, TEST_SET).to_csv(folder / "test_sets.csv", index=False)


def fold(folder: Path) -> None:
    cases, sides = tables_of(folder)
    fingerprint_of(cases, hold_out(cases, sides, 0, 5, SEED), plan_of(folder), {})
    choose_subjects(cases, 100, SEED)
    count_volumes(folder / "cases.csv", folder / "test_sets.csv", {"phantom-val": "Validation"})


def plan(folder: Path) -> None:
    cases = cases_of(*tables_of(folder), "train")
    made = make_plan(
        *(
            list(cases[columns].itertuples(index=False, name=None))
            for columns in (
                ["slices", "rows", "columns"],
                ["spacing_z", "spacing_y", "spacing_x"],
            )
        ),
        spacing=None,
        patch_size=(16, 16),
        base_features=32,
        max_features=512,
        max_stages=None,
    )
    (folder / "plan.json").write_text(made.to_json(), encoding="utf-8")


def plan_of(folder: Path) -> Plan:
    return Plan.read(folder / "plan.json")


def check(folder: Path) -> None:
    check_cases(*tables_of(folder)).to_csv(folder / "checks.csv", index=False)


def preprocess(folder: Path) -> None:
    (folder / "arrays").mkdir()
    made = plan_of(folder)
    for case in read_case_table(folder / "cases.csv").itertuples():
        preprocess_case(case, made, folder / "arrays", with_label=True)


def sample(folder: Path) -> str:
    """What a training draws its batches from, at the usual limit of open files."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    names = list(cases_of(*tables_of(folder), "train")["case"])
    sampler = PatchSampler(folder / "arrays", names, (16, 16), 0.33, torch.device("cpu"))
    rng = np.random.default_rng(SEED)
    start = time.process_time()
    for _ in range(BATCHES):
        sampler.sample_batch(20, rng)
    milliseconds = 1000 * (time.process_time() - start) / BATCHES
    opened = sum(1 for _ in Path("/proc/self/fd").iterdir())
    return f"{len(names):,} cases, {opened} open files, {milliseconds:.1f} ms a batch"


def page(folder: Path) -> str:
    cases, sides = tables_of(folder)
    text = make_data_page(cases, sides, read_checks(folder / "checks.csv"), "Many", "Many")
    return f"{len(text) / 2**20:.0f} MiB"


def dry_run(folder: Path) -> None:
    command = [sys.executable, "-m", "snakemake", "-n", "-q", "rules", "--cores", "1"]
    command += ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder / "work")]
    command += ["--config", f"study={folder / 'many.yaml'}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


STEPS: dict[str, Callable[[Path], str | None]] = {
    "read": read,
    "list": list_cases,
    "watch for changes": watch,
    "split": split,
    "plan": plan,
    "fold, fingerprint, captions": fold,
    "dry run": dry_run,
    "check": check,
    "preprocess": preprocess,
    "sample": sample,
    "data page": page,
}


def measured(step: str, folder: Path) -> dict[str, Any]:
    """Run a step in a process of its own."""
    command = [sys.executable, __file__, step, str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def one_step(step: str, folder: Path) -> None:
    logging.disable(logging.INFO)
    who = resource.RUSAGE_CHILDREN if step == "dry run" else resource.RUSAGE_SELF
    before, start = resource.getrusage(who), time.monotonic()
    note = STEPS[step](folder)
    wall, after = time.monotonic() - start, resource.getrusage(who)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"wall": wall, "cpu": cpu, "mib": after.ru_maxrss / 1024, "note": note or ""}))


def main() -> None:
    found: dict[int, dict[str, dict[str, Any]]] = {}
    for subjects in SUBJECTS:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            make_scans(folder, subjects)
            (folder / "work").mkdir()
            found[subjects] = {step: measured(step, folder) for step in STEPS}
    rows = [
        {
            "step": step,
            **{
                f"{title}, {subjects:,}": f"{found[subjects][step][key]:.{digits}f}"
                for key, title, digits in (("cpu", "CPU s", 1), ("wall", "s", 1), ("mib", "MiB", 0))
                for subjects in SUBJECTS
            },
            "": found[SUBJECTS[-1]][step]["note"],
        }
        for step in STEPS
    ]
    versions = ", ".join(
        f"{module.__name__} {module.__version__}" for module in (np, nib)
    )  # the readers
    print(
        f"Made on {date.today()}: {processor()}, {os.cpu_count()} cores; Python "
        f"{platform.python_version()}, {versions}.\n"
    )
    print(tabulate(rows, "keys", tablefmt="pipe", disable_numparse=True))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        one_step(sys.argv[1], Path(sys.argv[2]))
    else:
        main()
