"""A model applied to scans: what is missing is segmented, then the tables and the page are made."""

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from cardiouq.apply.findings import end_volumes, lowest_expected_dice
from cardiouq.apply.model import Model
from cardiouq.apply.output import check_replaced
from cardiouq.apply.page import FORMAT as PAGE_FORMAT
from cardiouq.apply.page import write_page
from cardiouq.apply.scans import FINDINGS_FILE, Scan, open_frames
from cardiouq.apply.segment import Segmenter
from cardiouq.errors import CardiouqError, user_message
from cardiouq.files.documents import read_json, write_json
from cardiouq.files.writing import HASHES_FILE, atomic_write, read_hashes
from cardiouq.logs import printable
from cardiouq.provenance.record import git_version, packages, repository
from cardiouq.reporting.viewer.page import PAGE

log = logging.getLogger(__name__)

FORMAT = 4
"""Version of what is written of a scan; another one has all scans segmented anew."""
SCANS, VIEWER, JOBS = "scans", "viewer", "jobs"
"""Folders of the output; the last has the logs of Snakemake's jobs, each of a scan."""
RESULTS_FILE = "results.json"
MOST_SAID = 500
"""Letters of an error that the program did not foresee."""
UNIT_NAMES = {"%": "percent"}
"""Units as they stand in the name of a column, where that is another."""


def apply(
    model: Model,
    scans: Mapping[str, Path],
    output: Path,
    choose: Callable[[], torch.device],
    *,
    of_jobs: bool = False,
) -> list[str]:
    """Segment scans that have not been, and write what comes of all.

    Args:
        model: of whose method all scans are segmented.
        scans: name -> file.
        output: folder for `scans/<name>/`, `subjects.csv`, `results.json` and `viewer/index.html`.
        choose: the device of the networks, once a scan is to be segmented.
        of_jobs: whether a job segmented each scan, or could not, so that none is segmented here.

    Returns:
        What is wrong with each scan that could not be segmented; they have a row, too.

    Raises:
        CardiouqError: as `check_output` and `findings_of`.
    """
    check_output(output, scans)
    segmenter = Segmenter(model, choose)
    named = tqdm(scans.items(), "scans", unit="scan", disable=None)
    found = [findings_of(segmenter, name, path, output, of_jobs=of_jobs) for name, path in named]
    _write_tables(model, found, output)
    _write_page_if_new(model, found, output)
    return [findings["error"] for findings in found if "error" in findings]


def check_output(output: Path, scans: Mapping[str, Path]) -> None:
    """Check that no results of scans, name -> file, take the place of the user's own files.

    Raises:
        CardiouqError: some would.
    """
    folders = {output / SCANS / name: FINDINGS_FILE for name in scans} | {output / VIEWER: PAGE}
    check_replaced(output, folders, scans.values())


def findings_of(
    segmenter: Segmenter, name: str, path: Path, output: Path, *, of_jobs: bool = False
) -> dict[str, Any]:
    """What comes of a scan, which is segmented unless it has been, or its `error`.

    Whatever fails with one scan stops no other; a model that cannot be loaded, and a disk that does
    not take what is written, would fail with all, and are raised.

    Args:
        segmenter: of the model.
        name: of the scan.
        path: of its file.
        output, of_jobs: as of `apply`.
    """
    folder, here = output / SCANS / name, {"name": name, "file": str(path)}
    try:
        scan = open_frames(path)
        key = _key(segmenter.model, scan)
        if is_missing := not _is_made(folder, key):
            scan.read_through()
            if of_jobs:
                raise CardiouqError(
                    f"{path}: its job left no results; {output / JOBS / name}.log says why; mend "
                    "that and give the same command again, which tries it once more"
                )
    except Exception as error:
        return here | {"error": _told(error, path)}
    if is_missing:
        segmenter.load()
    try:
        if is_missing:
            segmenter.segment(scan, name, key, folder)
        # a scan is called as it is now, where it is now
        return dict(read_json(folder / FINDINGS_FILE, {"type": "object"})) | here
    except Exception as error:
        if isinstance(error, OSError) and _is_of_disk(error, output):
            raise
        return here | {"error": _told(error, path)}


def failed_names(output: Path) -> list[str]:
    """Names of the scans that could not be segmented when the results were last written."""
    file = output / RESULTS_FILE
    scans = read_json(file, {"type": "object"})["scans"] if file.is_file() else []
    return [scan["name"] for scan in scans if "error" in scan]


def _told(error: Exception, path: Path) -> str:
    """What is said of a scan that failed; what its reader cannot mend is logged in full."""
    if message := user_message(error):
        return printable(message)
    log.exception("%s: not segmented", path)
    said = " ".join(f"{type(error).__name__}: {error}".split())[:MOST_SAID]
    return printable(f"{path}: cannot be segmented ({said}); the log has the traceback")


def _is_of_disk(error: OSError, output: Path) -> bool:
    """Whether the disk of the output is what failed, and not that of a scan."""
    return bool(user_message(error)) and Path(error.filename).is_relative_to(output)


def _key(model: Model, scan: Scan) -> str:
    """Text that changes with all that a scan's results depend on."""
    return hashlib.sha256(f"{FORMAT} {model.digest} {scan.sha256}".encode()).hexdigest()


def _is_made(folder: Path, key: str) -> bool:
    """Whether a folder holds all that comes of a scan and a model."""
    file = folder / FINDINGS_FILE
    names = read_hashes(folder / HASHES_FILE)
    if not names or not all((folder / name).is_file() for name in names):
        return False
    return bool(read_json(file, {"type": "object"}).get("key") == key)


def _write_tables(model: Model, found: Sequence[Mapping[str, Any]], output: Path) -> None:
    rows = [_row(findings) for findings in found]
    with atomic_write(output / "subjects.csv") as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False, float_format="%.6g")
    results = {
        "format": FORMAT,
        "cardiouq": git_version(repository()),
        "packages": packages(),
        "model": {"folder": str(model.folder), "digest": model.digest} | dict(model.about),
        "familiar": model.familiar.about(),
        "scans": found,
    }
    write_json(output / RESULTS_FILE, results)


def _row(findings: Mapping[str, Any]) -> dict[str, Any]:
    """A scan's row of `subjects.csv`: intervals are of the highest level that all of them have."""
    row: dict[str, Any] = {
        "scan": findings["name"],
        "error": findings.get("error", ""),
        "flagged": bool(findings.get("reasons")),
        "reasons": "; ".join(f"{k} ({v})" for k, v in findings.get("reasons", {}).items()),
    }
    if "error" in findings:
        return row
    row["lowest_expected_Dice"] = lowest_expected_dice(findings)
    row["frames"] = len(findings["frames"])
    row["level"] = level = _common_level(findings["quantities"])
    row |= {f"{phase}_frame": frame + 1 for phase, frame in findings["phases"].items()}
    names = {frame: phase for phase, frame in findings["phases"].items()}
    for of in findings["quantities"]:
        if of["nominal"] not in (None, level):
            continue
        unit, phase = UNIT_NAMES.get(of["unit"], of["unit"]), names.get(of["frame"], "")
        column = "_".join(filter(None, [of["quantity"].replace(" ", "_"), phase, unit]))
        if of["estimate"] > row.get(column, np.inf):
            continue  # of frames without a phase the worst stays
        row |= {column: of["estimate"], f"{column}_low": of["low"], f"{column}_high": of["high"]}
    return row | ({} if findings["phases"] else _volumes(findings["frames"]))


def _common_level(quantities: Sequence[Mapping[str, Any]]) -> float | None:
    """The highest level at which all quantities that have intervals have one; None without any."""
    highest: dict[str, float] = {}
    for of in quantities:  # which has all levels below its highest
        if of["nominal"] is not None:
            highest[of["quantity"]] = max(of["nominal"], highest.get(of["quantity"], 0))
    return min(highest.values(), default=None)


def _volumes(frames: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Columns of the volumes of a scan without phases."""
    ends = end_volumes(frames)
    return {
        "_".join(filter(None, [name, end, "ml"])): ml[name]
        for name in frames[0]["ml"]
        for end, ml in ends.items()
    }


def _write_page_if_new(model: Model, found: Sequence[Mapping[str, Any]], output: Path) -> None:
    """Write the page, unless it is of the same results; there is none if no scan is segmented."""
    done = [findings for findings in found if "error" not in findings]
    if not done:
        shutil.rmtree(output / VIEWER, ignore_errors=True)
        return
    errors = [findings["error"] for findings in found if "error" in findings]
    shown = json.dumps([PAGE_FORMAT, [(of["name"], of["key"]) for of in done], errors])
    digest = hashlib.sha256(shown.encode()).hexdigest()
    note = output / VIEWER / "results.txt"
    if note.is_file() and note.read_text(encoding="utf-8") == digest:
        return
    results = [(findings, output / SCANS / findings["name"]) for findings in done]
    title = f"Scans, segmented with {model.about['label']}"
    write_page(output / VIEWER, results, errors, model.about["label"], title)
    note.write_text(digest, encoding="utf-8")
