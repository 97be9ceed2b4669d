"""The tiny study on a real SLURM, with jobs cancelled and told to leave: the local run's tables.

It needs root and CARDIOUQ_SLURM_LOCAL, a script that starts (`start`) and ends (`stop`) a SLURM of
this machine alone, slurmd's process number in SLURM_LOCAL_STATE/slurmd.pid.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.paths import ROOT, TINY

PROFILE = ROOT / "profiles" / "slurm" / "profile.yaml"
STATE = Path(os.environ.get("SLURM_LOCAL_STATE", "/var/lib/slurm-local"))
DISTURBED = ("dropout", "cyclical")
"""Recipes of one run each, which are trained for some seconds."""
ALONE = {"fetch_acdc", "train", "predict", "predict_repeat", "evaluate", "segment", "apply"}
"""Rules whose jobs are one each: they are long, or need no cluster."""
TIMED = "cost.csv"
"""Of the tables the only one with times in it."""
DEADLINE = 3600


def run(*command: str | Path, **options: object) -> "subprocess.CompletedProcess[str]":
    """Stdout and stderr as one text."""
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        list(map(str, command)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        **{"timeout": DEADLINE, "check": False} | options,
    )


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of an environment that has SLURM's plugin beside what this one has."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", folder, check=True)
    python = folder / "bin" / "python"
    [site] = folder.glob("lib/python*/site-packages")
    here = [path for path in sys.path if path.endswith("site-packages")]
    lines = [f"import site; site.addsitedir({path!r})" for path in here]
    (site / "this_environment.pth").write_text("\n".join(lines) + "\n", encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extra = project["optional-dependencies"]["slurm"]
    done = run(python, "-m", "pip", "install", "--quiet", *extra)
    if done.returncode:
        pytest.skip(f"the plugin cannot be installed: {done.stdout.strip()[-500:]}")
    return python


@pytest.fixture(scope="module")
def slurm() -> Iterator[None]:
    """Started, and ended if it was not there before."""
    script = os.environ.get("CARDIOUQ_SLURM_LOCAL", "")
    if not Path(script).is_file():
        pytest.skip("CARDIOUQ_SLURM_LOCAL names no script that starts SLURM")
    if os.getuid() != 0:
        pytest.skip("SLURM's daemons are started by root")
    if shutil.which("scontrol") and run("scontrol", "ping").returncode == 0:
        pytest.skip("a SLURM is there, and a node's daemon is not ours to end")
    # `nproc`, by which a script may count the processors, heeds OMP_NUM_THREADS
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    started = run(script, "start", env=environment)
    if started.returncode:
        run(script, "stop")
        pytest.skip(f"SLURM cannot be started: {started.stdout.strip()[-500:]}")
    yield
    for job in run("squeue", "--noheader", "--format=%i").stdout.split():
        run("scancel", job)
    run(script, "stop")


@dataclass(frozen=True)
class Setting:
    """A copy of the repository, and the tiny study with two longer trainings."""

    repository: Path
    study: Path

    def command(self, python: Path | str, directory: Path, *options: str | Path) -> list[str]:
        command = [python, "-m", "snakemake", "--snakefile", self.repository / "Snakefile"]
        command += ["--directory", directory, *options]
        return [*map(str, command), "--config", f"study={self.study}", "device=cpu"]

    @property
    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("CARDIOUQ_")}
        return kept | {"PYTHONPATH": str(self.repository / "src")}


@pytest.fixture(scope="module")
def setting(
    tmp_path_factory: pytest.TempPathFactory, copy_repository: Callable[[Path], Path]
) -> Setting:
    home = tmp_path_factory.mktemp("slurm")
    copy_repository(home / "repository")
    study = yaml.safe_load(TINY.read_text(encoding="utf-8"))
    for name in DISTURBED:
        study["recipes"][name]["iterations_per_epoch"] = 60
    (home / "tiny.yaml").write_text(yaml.safe_dump(study, sort_keys=False), encoding="utf-8")
    return Setting(home / "repository", home / "tiny.yaml")


@pytest.fixture(scope="module")
def local(setting: Setting, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results without SLURM."""
    work = tmp_path_factory.mktemp("local")
    done = run(*setting.command(sys.executable, work, "--cores", "2"), env=setting.environment)
    assert done.returncode == 0, done.stdout
    return work / "results" / "tiny"


def rules_of_the_workflow() -> dict[str, str]:
    """Their names and texts, of one that uses another the other's too."""
    texts = [
        file.read_text(encoding="utf-8") for file in (ROOT / "workflow" / "rules").glob("*.smk")
    ]
    rules = dict(
        rule
        for text in texts
        for rule in re.findall(
            r"^ *rule (\w+):\n(.*?)(?=^ *(?:use )?rule |\Z)", text, re.MULTILINE | re.DOTALL
        )
    )
    used = re.findall(r"^ *use rule (\w+) as (\w+) with:$", "".join(texts), re.MULTILINE)
    return rules | {name: rules[other] for other, name in used}


def test_profile_and_page_name_all_rules_that_ask_for_a_gpu() -> None:
    asking = {rule for rule, text in rules_of_the_workflow().items() if " gpu=" in text}
    assert asking == {"train", "predict", "predict_repeat", "segment"}
    _, text = PROFILE.read_text(encoding="utf-8").split("set-resources:")
    page = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
    [row] = re.findall(r"^\| partition \|.*$", page, re.MULTILINE)
    for rule in asking:
        assert re.search(rf"\b{rule}\b.*:", text)
        assert f"`{rule}`" in row


def test_profile_names_rules_that_there_are_and_groups_all_small_ones() -> None:
    """Tables, figures and pages are grouped by the workflow (`test_rules.py`)."""
    profile = yaml.safe_load(PROFILE.read_text(encoding="utf-8"))
    rules = rules_of_the_workflow()
    grouped = {group.partition("=")[0] for group in profile["groups"]}
    assert grouped | set(profile["set-resources"]) <= rules.keys()
    reporting = {rule for rule, text in rules.items() if "{RESULTS}/logs/reporting/" in text}
    assert rules.keys() - reporting - grouped == ALONE


def test_disturbed_run_on_slurm_prints_the_local_run_s_tables(
    slurm: None, python: Path, setting: Setting, local: Path, tmp_path: Path
) -> None:
    results, log = tmp_path / "results" / "tiny", tmp_path / "snakemake.log"

    def job_of(recipe: str) -> str:
        """Number of the recipe's running job; empty if there is none."""
        listed = run("squeue", "--noheader", "--states=RUNNING", "--format=%i %k").stdout
        jobs = re.findall(rf"^(\d+) rule_train_wildcards_{recipe}_", listed, re.MULTILINE)
        return jobs[0] if jobs else ""

    def there_is(recipe: str, file: str) -> bool:
        return any(results.glob(f"training/{recipe}-*/.*.unfinished/{file}"))

    def resumes(recipe: str) -> bool:
        logs = results.glob(f"logs/train/{recipe}-*/seed-0.log")
        return any("resuming at epoch" in log.read_text(encoding="utf-8") for log in logs)

    options = ["--workflow-profile", setting.repository / "profiles" / "slurm", "--cores", "2"]
    options += ["--slurm-init-seconds-before-status-checks", "3"]
    with log.open("w", encoding="utf-8") as stream:
        snakemake = subprocess.Popen(
            setting.command(python, tmp_path, *options),
            env=setting.environment,
            stdout=stream,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )
    try:
        cancelled = told = again = ""
        while not (cancelled and told and again):  # in whichever order SLURM starts them
            assert snakemake.poll() is None, log.read_text(encoding="utf-8")
            if (
                not cancelled
                and there_is("dropout", "products")
                and (cancelled := job_of("dropout"))
            ):
                run("scancel", cancelled, check=True)
            if (
                not told
                and there_is("cyclical", "products/checkpoints/*")
                and (told := job_of("cyclical"))
            ):
                run("scancel", "--signal=TERM", told, check=True)
            if not again and resumes("cyclical") and (again := job_of("cyclical")):
                os.kill(int((STATE / "slurmd.pid").read_text(encoding="utf-8")), signal.SIGTERM)
                time.sleep(2)
                run("slurmd", check=True)
            time.sleep(0.2)
        assert snakemake.wait(DEADLINE) == 0, log.read_text(encoding="utf-8")
    finally:
        if snakemake.poll() is None:
            snakemake.send_signal(signal.SIGINT)
            snakemake.wait(60)

    text = log.read_text(encoding="utf-8")
    assert f"SLURM-job '{told}' failed, SLURM status is: 'FAILED'" in text
    assert f"SLURM-job '{cancelled}' failed, SLURM status is: 'CANCELLED'" in text
    assert f"SLURM-job '{again}' failed" not in text
    assert again != told

    def files(folder: Path) -> dict[str, bytes]:
        patterns = ("reporting/tables/*.csv", "evaluation/*.csv", "training/*/*/checkpoints/*")
        paths = [path for pattern in patterns for path in folder.glob(pattern)]
        return {
            str(path.relative_to(folder)): path.read_bytes() for path in paths if path.name != TIMED
        }

    assert len(files(local)) > 30
    assert files(results) == files(local)
