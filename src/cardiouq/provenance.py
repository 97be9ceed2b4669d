"""Which state a study's results come from: code, settings, data, packages and device.

python -m cardiouq.provenance A/provenance.json B/provenance.json

says what differs between two. It ends with 0 if the state is the same and the results are, with 1
if something differs, with 2 if a file cannot be read. Imports no torch.
"""

import argparse
import csv
import hashlib
import json
import os
import platform
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path, PurePath
from typing import Any

from cardiouq.files import written_whole
from cardiouq.machine import DEVICE_VARIABLE

PARTS = ("code", "config", "data", "packages", "device")
"""Of the state, in the order of printing."""
MACHINE_FILE = "machine.json"
MEASURED = {
    "cost.csv": (
        "training_seconds",
        "training_memory_mib",
        "prediction_seconds_per_slice",
        "prediction_memory_mib",
    ),
    "history.csv": ("seconds",),
}
"""Columns that no two runs have in common; a table is compared without them."""
SHOWS_TIMES = ("quality_cost.png",)
"""Figures that no two runs have in common."""
NOT_RECORDED = "not recorded"


def repository() -> Path:
    """The folder that holds the code: of the repository, or of the package where there is none."""
    package = Path(__file__).parent
    root = package.parents[1]
    return root if (root / "Snakefile").is_file() else package


def code_files(root: Path) -> dict[str, str]:
    """Path of every file that results depend on -> its hash; of a repository its package, its
    workflow and what was published."""
    found = list(root.rglob("*"))
    if (root / "Snakefile").is_file():
        folders = ("src", "workflow", "config/published", "config/schemas")
        found = [root / "Snakefile"]
        found += [path for folder in folders for path in (root / folder).rglob("*")]
    named = {str(path.relative_to(root)): path for path in sorted(found) if path.is_file()}
    return {
        name: _hash(path.read_bytes())[:16]
        for name, path in named.items()
        if not re.search(r"(^|/)(__pycache__|[^/]*\.egg-info|\.[^/]*)(/|$)", name)
    }


def code_hash(root: Path) -> str:
    """One for all files of the code."""
    return _hash(json.dumps(code_files(root), sort_keys=True).encode())[:16]


def git_version(root: Path) -> str:
    """What `git describe` calls the commit, `-dirty` if files differ from it."""
    try:
        top, name = (
            subprocess.run(
                ["git", "-C", str(root), *command], capture_output=True, text=True, check=True
            ).stdout.strip()
            for command in (["rev-parse", "--show-toplevel"], ["describe", "--always", "--dirty"])
        )
    except (OSError, subprocess.CalledProcessError):
        return NOT_RECORDED
    return name if Path(top).resolve() == root.resolve() else NOT_RECORDED  # not of a folder around


def processor() -> str:
    """The model, as Linux tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text(errors="replace") if cpuinfo.is_file() else ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.processor() or platform.machine()


def packages() -> dict[str, str]:
    """Python and every direct dependency -> its version."""
    try:
        lines = requires("cardiouq") or []
    except PackageNotFoundError:
        lines = []
    found = {"python": platform.python_version()}
    for name in sorted(re.split(r"[^\w.-]", line)[0] for line in lines if "extra ==" not in line):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def note_machine(folder: Path, device: str, name: str, precision: str) -> None:
    """Add this machine to those that a run was trained on: an interrupted run may have several."""
    file = folder / MACHINE_FILE
    noted = json.loads(file.read_text()) if file.is_file() else []
    here = {
        "device": device,
        "name": name,
        "precision": precision,
        "code": code_hash(repository()),
    }
    if here not in noted:
        with written_whole(file) as temporary:
            temporary.write_text(json.dumps([*noted, here], indent=2) + "\n")


def describe(
    results: Path,
    settings: Mapping[str, Any],
    runs: Mapping[str, str],
    predicted: Sequence[str],
    products: Iterable[str | Path],
) -> dict[str, Any]:
    """State, results and times of a finished study.

    Args:
        results: its folder, `results/<study>`.
        settings: the study's.
        runs: label -> folder of every run.
        predicted: its methods and their repeats.
        products: files that it made; tables and figures are taken from them.
    """
    root = repository()
    machines = {label: _machines(Path(folder)) for label, folder in runs.items()}
    state = {
        "code": {
            "version": git_version(root),
            "hash": code_hash(root),
            "files": code_files(root),
            "runs": {label: _several(found, "code") for label, found in machines.items()},
        },
        "config": {**without_folders(settings), **_own_code(settings)},
        "data": fingerprints(results / "data"),
        "packages": packages(),
        "device": {
            "processor": processor(),
            "system": f"{platform.system()} {platform.machine()}",
            "runs": {
                label: _several(found, "device", "name", "precision")
                for label, found in machines.items()
            },
            "predictions": "float32",
        },
    }
    # where results begin to differ: trainings, then scores, then what is printed
    files = [Path(folder, "history.csv") for folder in runs.values()]
    files += sorted((results / "evaluation").glob("*.csv"))
    files += sorted({Path(p) for p in products if PurePath(p).suffix in (".csv", ".png")})
    files = [path for path in dict.fromkeys(files) if path.is_file()]
    named = {str(path.relative_to(results)): path for path in files}
    compared = {name: p for name, p in named.items() if p.name not in SHOWS_TIMES}
    return {
        "study": results.name,
        "state": state,
        "results": {name: content_hash(path) for name, path in compared.items()},
        "times": {
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
            "device asked for": os.environ.get(DEVICE_VARIABLE, "auto"),
            "training_seconds": round(sum(_seconds(Path(folder)) for folder in runs.values()), 1),
            "rules": rule_times(results, list(runs.values()), predicted),
            "files": {
                name: _hash(path.read_bytes())
                for name, path in named.items()
                if path.name in (*SHOWS_TIMES, "cost.csv")
            },
        },
    }


def without_folders(settings: Any, key: str = "") -> Any:
    """Settings without folders of this machine: of an own method its file, of own data nothing."""
    if isinstance(settings, Mapping):
        return {str(name): without_folders(value, str(name)) for name, value in settings.items()}
    if isinstance(settings, list | tuple):
        return [without_folders(value) for value in settings]
    if isinstance(settings, str) and key == "source" and "/" in settings:
        return "a folder"
    if isinstance(settings, str) and key in ("method", "name"):
        return PurePath(settings).name
    return settings


def _own_code(settings: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """File of the user's own method -> its hash; nothing if there is none."""
    named = {str(block.get("method", "")) for block in settings.get("methods", {}).values()}
    named |= {
        str(block.get("variant", {}).get("name", ""))
        for block in settings.get("recipes", {}).values()
    }
    files = [Path(name) for name in sorted(named) if name.endswith(".py")]
    hashes = {file.name: _hash(file.read_bytes())[:16] for file in files}
    return {"own code": hashes} if hashes else {}


def fingerprints(data: Path) -> dict[str, Any]:
    """Of what every image and label holds, of the split and of the plan."""
    hashes: dict[str, Any] = {}
    for name in ("cases", "distorted_cases"):
        if (data / f"{name}.csv").is_file():
            rows = read_rows(data / f"{name}.csv")
            pairs = sorted(f"{row['image_hash']} {row['label_hash']}" for row in rows)
            hashes[name] = {"volumes": len(rows), "hash": _hash("\n".join(pairs).encode())[:16]}
    for name in ("split.csv", "test_sets.csv"):
        if (data / name).is_file():
            lines = sorted(" ".join(row.values()) for row in read_rows(data / name))
            hashes[name] = _hash("\n".join(lines).encode())[:16]
    if (data / "plan.json").is_file():
        hashes["plan.json"] = content_hash(data / "plan.json")[:16]
    return hashes


def content_hash(path: Path) -> str:
    """sha256 of a file, of a table with measured columns without them."""
    if path.name not in MEASURED:
        return _hash(path.read_bytes())
    rows = [
        {name: value for name, value in row.items() if name not in MEASURED[path.name]}
        for row in read_rows(path)
    ]
    return _hash(json.dumps(rows).encode())


def rule_times(
    results: Path, runs: Sequence[str], predicted: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Rule -> jobs, seconds, peak memory (MiB) in Snakemake's benchmarks; without those of runs and
    methods that the study has no more."""
    folder = results / "benchmarks"
    wanted = {str(Path(run).relative_to(results / "training")) for run in runs}
    jobs: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for file in sorted(folder.rglob("*.tsv")):
        rule, _, job = str(file.relative_to(folder).with_suffix("")).partition("/")
        if (rule == "train" and job not in wanted) or (
            rule in ("predict", "evaluate") and job not in predicted
        ):
            continue
        for row in read_rows(file, delimiter="\t"):
            memory = row["max_rss"]
            jobs[rule].append((float(row["s"]), float(memory) if memory != "-" else 0.0))
    return {
        rule: {
            "jobs": len(measured),
            "seconds": round(sum(seconds for seconds, _ in measured), 1),
            "peak_mib": max(memory for _, memory in measured) or None,
        }
        for rule, measured in jobs.items()
    }


def printed(provenance: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(part, what, value) of all that a reader wants to see; the code's files are left out."""
    state, times = provenance["state"], provenance["times"]
    rows = [("Code", name, state["code"][name]) for name in ("version", "hash")]
    for text, labels in _by_value(state["code"]["runs"]).items():
        rows.append(("Code", f"{len(labels)} run(s)", text))
    rows.append(("Config", "seed", str(state["config"].get("seed"))))
    rows += [("Data", *row) for row in _flat(state["data"])]
    rows.append(("Packages", "", ", ".join(f"{n} {v}" for n, v in state["packages"].items())))
    device = state["device"]
    rows += [("Device", name, device[name]) for name in ("processor", "system", "predictions")]
    for text, labels in _by_value(device["runs"]).items():
        rows.append(("Device", f"{len(labels)} run(s)", text))
    rows.append(("Time", "written", times["written"]))
    rows.append(("Time", "training, all runs", f"{times['training_seconds']:.0f} s"))
    for rule, cost in times["rules"].items():
        memory = f", {cost['peak_mib']:.0f} MiB" if cost["peak_mib"] else ""
        rows.append(("Time", rule, f"{cost['jobs']} job(s), {cost['seconds']:.0f} s{memory}"))
    for name, text in {**provenance["results"], **times["files"]}.items():
        if name.startswith("reporting/"):
            rows.append(("SHA-256", name.removeprefix("reporting/"), text))
    shown = [
        (part if n == 0 or rows[n - 1][0] != part else "", *row)
        for n, (part, *row) in enumerate(rows)
    ]
    return [(part, what, value) for part, what, value in shown]


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, list[str]]:
    """Part of the state, and `results` -> what differs in it, in words."""
    pairs = {part: (one["state"][part], other["state"][part]) for part in PARTS}
    pairs["results"] = (one["results"], other["results"])
    found = {}
    for part, (first, second) in pairs.items():
        a, b = dict(_flat(first)), dict(_flat(second))
        found[part] = [
            f"{name}: {a.get(name, 'nothing')} -> {b.get(name, 'nothing')}"
            for name in dict.fromkeys([*a, *b])
            # a commit that changes none of the code is the same code
            if a.get(name) != b.get(name) and (part, name) != ("code", "version")
        ]
    return found


def verdict(found: Mapping[str, Sequence[str]]) -> str:
    """What differences mean, in one sentence."""
    same_state, same_results = not any(found[part] for part in PARTS), not found["results"]
    if same_state and same_results:
        return "The same state and the same results."
    if same_state:
        return "The same state, yet other results: something decides them that is not recorded."
    return f"Another state with {'the same' if same_results else 'other'} results."


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare two studies' provenance."""
    parser = argparse.ArgumentParser(description="Whether two results come from the same state.")
    parser.add_argument("files", nargs=2, type=Path, metavar="provenance.json")
    files = parser.parse_args(arguments).files
    try:
        one, other = (json.loads(file.read_text()) for file in files)
        found = differences(one, other)
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"ERROR: {error!r}: give two files that write_provenance wrote", file=sys.stderr)
        return 2
    versions = [text["state"]["code"]["version"] for text in (one, other)]
    for part, lines in found.items():
        note = f" ({versions[0]} -> {versions[1]})" if part == "code" else ""
        print(f"{part}{note}: {f'{len(lines)} difference(s)' if lines else 'the same'}")
        print(*(f"  {line}\n" for line in lines), sep="", end="")
    print(verdict(found))
    return int(any(found.values()))


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for key, below in value.items():
            yield from _flat(below, f"{path}.{key}" if path else str(key))
    else:
        yield path, value if isinstance(value, str) else json.dumps(value)


def _by_value(texts: Mapping[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for name, text in texts.items():
        found[text].append(name)
    return found


def _machines(folder: Path) -> list[dict[str, str]]:
    file = folder / MACHINE_FILE
    return json.loads(file.read_text()) if file.is_file() else []


def _several(machines: Sequence[Mapping[str, str]], *keys: str) -> str:
    """What is known of each machine that a run was on."""
    known = dict.fromkeys(", ".join(machine[key] for key in keys) for machine in machines)
    return "; ".join(known) or NOT_RECORDED


def _seconds(folder: Path) -> float:
    file = folder / "history.csv"
    return sum(float(row["seconds"]) for row in read_rows(file)) if file.is_file() else 0.0


def read_rows(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    """Of a table with headings."""
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream, delimiter=delimiter))


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
