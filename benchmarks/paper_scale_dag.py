"""The papers' studies with five seeds, on paper: jobs, dry run, GPU-hours, disk.

    make bench-dag CARDIOUQ_ACDC_ROOT=/acdc CARDIOUQ_MNMS_ROOT=/mnms

Every method of a copy of each study gets `repeats: 5`. Snakemake plans it in an empty folder, where
time and peak memory are measured; nothing is trained. Steps, checkpoints and bytes follow from the
study; seconds are estimates from the constants below. Prints Markdown, for docs/results.
"""

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from rounds import peak_mebibytes
from sizes import PAPER
from tabulate import tabulate

from cardiouq.data.plan import Plan
from cardiouq.data.readers.scans import Case
from cardiouq.files.documents import read_yaml
from cardiouq.methods import build_variant
from cardiouq.prediction.sums import CaseSums
from cardiouq.progress.estimates import (
    FORWARD_SHARE,
    images_per_volume,
    plan_of,
)
from cardiouq.progress.jobs import Job, critical_path, jobs_of
from cardiouq.recipes.network import build_network, last_decoder_layer
from cardiouq.structures import N_CLASSES
from cardiouq.study.study import Study

ROOT = Path(__file__).parents[1]
PAPERS = ("zhao2022", "zhao2024", "ng2022-acdc", "ng2022-mnms", "kushibar2022", "buddenkotte2023")
SEEDS = 5

STEP_SECONDS = 0.015
"""Of a training step with 20 patches of 256 x 224 in bf16 on an H100. Not measured: 1.56 TFLOP are
2 ms at the card's rate and the traffic of the feature maps 4 ms; the rest is for kernels that fill
the card badly, augmentation, and batches to arrive. Other batches and networks take as much time
per value of their feature maps."""
SHORTEST_STEP_SECONDS = 0.005
"""Not measured: several hundred kernels have to be started, however small the batch."""
OLD_STEP_SECONDS = 0.2
"""About what nnU-Net takes for such a step on the cards of 2018, by its authors."""
BYTES_PER_VOXEL = {"one sample": 11.6, "several samples": 16.3, "each sample": 0.011}
"""Of predicted volumes, measured in the laptop study on real scans: probabilities 8, maps 3.6 each
or less, the label map of a sample 0.011."""
SUBJECTS = {("acdc", None): 100, ("mnms", None): 150, ("mnms", "A"): 75, ("mnms", "B"): 75}
"""With labels, as the challenges hand them out."""
VOXELS = {"acdc": 510_000, "mnms": 750_000}
"""Of a volume: ACDC's mean; M&Ms' of three subjects."""
PHASES = 2
NO_PLAN = "not made"
GIGA = 1e9


@dataclass
class Planned:
    """What a dry run says, and what it costs."""

    jobs: Counter[str]
    seconds: float
    mebibytes: float


def with_seeds(name: str, folder: Path) -> Path:
    """A copy of a study in which every method is trained with five seeds."""
    settings = read_yaml(ROOT / "config" / "studies" / f"{name}.yaml")
    for method in settings["methods"].values():
        method["repeats"] = SEEDS
    copy = folder / f"{name}.yaml"
    copy.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    return copy


def dry_run(study: Path, folder: Path, roots: Sequence[str]) -> Planned:
    """Plan a study in an empty folder."""
    command = [sys.executable, "-m", "snakemake", "-n", "-q", "rules", "--cores", "1"]
    command += ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    command += ["--config", f"study={study}", *roots]
    output = folder / "dry-run.txt"
    start = time.monotonic()
    with output.open("w", encoding="utf-8") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT)
        peak = 0.0
        while process.poll() is None:
            with contextlib.suppress(OSError, ValueError):  # it has just ended
                peak = max(peak, peak_mebibytes(process.pid))
            time.sleep(0.02)
    seconds = time.monotonic() - start
    text = output.read_text(encoding="utf-8")
    table = re.search(r"Job stats:\njob +count\n[- ]+\n(.*?)\ntotal", text, re.DOTALL)
    if process.returncode or table is None:
        sys.exit(f"{study.name}: the dry run failed:\n{text[-3000:]}")
    rows = (line.split() for line in table[1].splitlines())
    jobs = Counter({rule: int(count) for rule, count in rows})
    jobs["predict"] += jobs.pop("predict_repeat", 0)
    return Planned(jobs, seconds, peak)


def step_seconds(plan: Plan, batch_size: int, paper_step: float = STEP_SECONDS) -> float:
    paper = PAPER.batch_size * PAPER.feature_values
    scaled = paper_step * batch_size * plan.feature_values / paper
    return max(SHORTEST_STEP_SECONDS, scaled)


def seconds_of(
    study: Study, jobs: dict[str, Job], host: float, paper_step: float = STEP_SECONDS
) -> dict[str, float]:
    """Estimated seconds of every training and prediction."""
    plan = plan_of(study, NO_PLAN)
    seconds = dict.fromkeys(jobs, 0.0)
    forward = FORWARD_SHARE * step_seconds(plan, round(images_per_volume(study)), paper_step)
    for name, job in jobs.items():
        if job.kind == "training":
            batch_size = study["recipes"][job.alike]["batch_size"]
            steps = job.steps * job.work / batch_size
            seconds[name] = steps * step_seconds(plan, batch_size, paper_step)
        if job.kind == "prediction":
            volumes = sum(count for count, _ in volumes_of(study, name.removeprefix("predict ")))
            seconds[name] = volumes * job.steps * (forward + host)
    return seconds


def volumes_of(study: Study, method: str) -> list[tuple[int, int]]:
    """Volumes and voxels of each test set that a method or a repeat predicts."""
    found = {}
    for name, block in study["test_sets"].items():
        subjects = float(SUBJECTS[block["dataset"], block.get("vendor")])
        if "split" in block:
            subjects *= study["split"][f"{block['split']}_fraction"]
        volumes = PHASES * round(subjects)
        found[name] = volumes, volumes * VOXELS[block["dataset"]]
    distorted = study.distorted_test_sets() if study.predicts_distorted(method) else {}
    return [*found.values(), *(found[d["of"]] for d in distorted.values())]


def bytes_of_runs(study: Study, plan: Plan) -> tuple[int, float]:
    """Checkpoints, and bytes of all runs: these, states to branch from, last layers."""
    checkpoints, total = 0, 0.0
    for recipe, settings in study["recipes"].items():
        network = build_variant(settings.get("variant")).network(
            build_network(plan, settings["dropout"])
        )
        weights = 4 * sum(parameter.numel() for parameter in network.parameters())
        last_layers = 4 * study.schedule(recipe).epochs * last_decoder_layer(network).numel()
        moments = 2 if settings["optimiser"]["name"] == "adamw" else 1
        for member in study.members(recipe):
            kept = len(study.keep_epochs(recipe, member))
            states = len(study.branch_epochs(recipe, member))
            checkpoints += kept
            total += kept * weights + states * ((1 + moments) * weights + last_layers) + last_layers
    return checkpoints, total


def bytes_of_predictions(study: Study) -> float:
    plan = plan_of(study, NO_PLAN)
    total = 0.0
    for name in (*study.methods, *study.repeats):
        voxels = sum(count for _, count in volumes_of(study, name))
        drawn = study.sample_count(name, plan)
        kind = "one sample" if drawn == 1 else "several samples"
        per_voxel = BYTES_PER_VOXEL[kind] + (drawn > 1) * drawn * BYTES_PER_VOXEL["each sample"]
        total += voxels * per_voxel
    return total


def host_seconds() -> float:
    """To add a sample of a volume of ACDC's size up, on this machine's processor."""
    grid = (10, 256, 216)
    draw = torch.Generator().manual_seed(0)
    sample = torch.rand(N_CLASSES, *grid, generator=draw).softmax(0)

    class Volume:
        case = "volume"
        slices, rows, columns = grid

    volume: Case = Volume()  # type: ignore[assignment]
    sums = CaseSums(volume)
    times = []
    for _ in range(10):
        start = time.monotonic()
        sums.add(sample)
        times.append(time.monotonic() - start)
    return float(np.median(times))


def hours(seconds: float) -> str:
    return f"{seconds / 3600:,.1f}" if seconds < 36e3 else f"{seconds / 3600:,.0f}"


def cost_of(
    study: Study, jobs: dict[str, Job], seconds: dict[str, float], host: float
) -> dict[str, float]:
    """Numbers of a study, to be added up."""
    old = seconds_of(study, jobs, host, OLD_STEP_SECONDS)
    runs = [job for job in jobs.values() if job.kind == "training"]
    checkpoints, of_runs = bytes_of_runs(study, plan_of(study, NO_PLAN))
    return {
        "runs": len(runs),
        "steps": sum(
            job.steps * study["recipes"][job.alike]["iterations_per_epoch"] for job in runs
        ),
        "training": sum(seconds[job.name] for job in runs),
        "old training": sum(old[job.name] for job in runs),
        "prediction": sum(s for name, s in seconds.items() if jobs[name].kind == "prediction"),
        "checkpoints": checkpoints,
        "bytes of runs": of_runs,
        "bytes of predictions": bytes_of_predictions(study),
    }


def printed(name: str, cost: dict[str, float]) -> dict[str, str]:
    return {
        "study": name,
        "runs": f"{cost['runs']:.0f}",
        "steps (M)": f"{cost['steps'] / 1e6:.1f}",
        "training (h, H100)": hours(cost["training"]),
        "(h, card of 2018)": hours(cost["old training"]),
        "prediction (h, H100)": hours(cost["prediction"]),
        "checkpoints": f"{cost['checkpoints']:,.0f}",
        "runs (GB)": f"{cost['bytes of runs'] / GIGA:.0f}",
        "predictions (GB)": f"{cost['bytes of predictions'] / GIGA:.0f}",
    }


def long_pole(study: Study, jobs: dict[str, Job], seconds: dict[str, float]) -> dict[str, str]:
    """The prediction that ends last if everything runs at once, and what it waits for."""
    ends = {name: critical_path(name, jobs, seconds) for name in jobs}
    last = max((n for n in jobs if jobs[n].kind == "prediction"), key=ends.__getitem__)
    run = max(jobs[last].needs, key=ends.__getitem__)
    chain = [*jobs[run].needs, run, last]
    words = ", then ".join(f"{name} ({hours(seconds[name])})" for name in chain)
    return {"study": study.name, "hours (H100)": hours(ends[last]), "longest chain": words}


def main() -> None:
    roots = {
        key: os.environ.get(f"CARDIOUQ_{key.upper()}", "") for key in ("acdc_root", "mnms_root")
    }
    if not all(roots.values()):
        sys.exit("set CARDIOUQ_ACDC_ROOT and CARDIOUQ_MNMS_ROOT")
    local_config: dict[str, Any] = read_yaml(ROOT / "config" / "config.yaml") | roots
    host = host_seconds()
    planned, costs, poles = {}, {}, []
    for name in PAPERS:
        with tempfile.TemporaryDirectory() as folder:
            file = with_seeds(name, Path(folder))
            work = Path(folder, "work")
            work.mkdir()
            planned[name] = dry_run(file, work, [f"{key}={root}" for key, root in roots.items()])
            study = Study(str(file), local_config, ROOT / "config")
            jobs = jobs_of(study, Path("nowhere"))
            seconds = seconds_of(study, jobs, host)
            costs[name] = cost_of(study, jobs, seconds, host)
            poles.append(long_pole(study, jobs, seconds))

    all_jobs = sum((one.jobs for one in planned.values()), Counter())
    everything = Planned(
        all_jobs,
        sum(one.seconds for one in planned.values()),
        max(one.mebibytes for one in planned.values()),
    )
    dag = [
        {
            "study": name,
            "jobs": one.jobs.total(),
            **{rule: one.jobs[rule] for rule in ("train", "predict", "evaluate")},
            "others": one.jobs.total() - sum(one.jobs[r] for r in ("train", "predict", "evaluate")),
            "dry run (s)": f"{one.seconds:.1f}",
            "peak memory (MiB)": f"{one.mebibytes:.0f}",
        }
        for name, one in {**planned, "all": everything}.items()
    ]
    total = {key: sum(cost[key] for cost in costs.values()) for key in costs[PAPERS[0]]}
    cost = [printed(name, numbers) for name, numbers in {**costs, "all": total}.items()]
    print(f"Made on {date.today()}. To add a sample of a volume up took {host:.2f} s.\n")
    for rows in (dag, cost, poles):
        print(tabulate(rows, "keys", tablefmt="pipe", disable_numparse=True), end="\n\n")


if __name__ == "__main__":
    main()
