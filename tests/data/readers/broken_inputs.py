"""Small data sets of every layout to be damaged in one place, and what comes of reading them.

As a script, this reads what it is given with no more memory than `MOST_MIB` beside its own.
"""

import gzip
import json
import logging
import pickle
import re
import resource
import shutil
import signal
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd

from cardiouq.data.cases import make_case_table
from cardiouq.data.readers.found import DataFolder
from cardiouq.data.readers.scans import read_image, read_label
from cardiouq.errors import ProblemsError

SPATIAL = ("srow_x", "srow_y", "srow_z")
ZEROS = gzip.compress(bytes(2**26), 9)
"""Of 64 MiB. Members of a gzip file lie end to end, so that many of them are a bomb."""
MOST_MIB = 1024
HANG_S = 60
"""Wall clock, after which an input hangs; the seconds that count are the processor's."""
LAYOUTS = ("acdc", "mnms", "ukbb", "nnunet", "csv")
PARTICIPANT = "1000011"
CSV_FILES = ("scan_image.nii.gz", "scan_label.nii.gz", "cine.nii.gz", "cine_label.nii.gz")
CSV_COLUMNS = ("image", "label", "subject")
LABELS = {"background": 0, "RV": 1, "MYO": 2, "LV": 3}
IN_ORDER, REVERSED = np.array([0, 1, 2, 3], np.uint8), np.array([0, 3, 2, 1], np.uint8)
"""Value on disk -> label in the project's order."""

Volumes = tuple[Any, ...]


@dataclass
class Site:
    """A data set on disk with two cases; damages are done to the files of the first.

    Attributes:
        table: the text that says which cases there are; of UK Biobank, the key.
        frames: case -> frame, of the cases that are read from `image` and `label`.
        expected: case -> image and label as they must be read.
        order: value on disk -> label.
        options: of its `DataFolder`.
        alias: what an error says for a part of a path.
        spacing: as it must be read, None if it may be any.
        repaired: whether a warning must name the image.
    """

    layout: str
    root: Path
    image: Path
    label: Path
    table: Path
    frames: Mapping[str, int]
    expected: dict[str, Volumes]
    order: Any
    options: dict[str, Any] = field(default_factory=dict)
    alias: tuple[str, str] = ("", "")
    spacing: Any = (8.0, 1.25, 1.5)
    repaired: bool = False
    rng: Any = None

    def copied(self, root: Path, rng: np.random.Generator) -> "Site":
        shutil.copytree(self.root, root)
        image, label, table = (root / path.relative_to(self.root) for path in self.files)
        own = {"expected": self.expected.copy(), "options": self.options.copy(), "rng": rng}
        return replace(self, root=root, image=image, label=label, table=table, **own)

    @property
    def files(self) -> tuple[Path, Path, Path]:
        return self.image, self.label, self.table

    def either(self) -> Path:
        """The image or the label."""
        return self.files[self.rng.integers(2)]

    def told(self, path: Path | None) -> Path | None:
        """As an error calls a file."""
        return path and Path(str(path).replace(*self.alias))

    def expect(self, image: Any = None, label: Any = None) -> None:
        """Other voxels, as they are on disk."""
        for case, frame in self.frames.items():
            old = self.expected[case]
            new = [v if v is None or frame < 0 else v[..., frame] for v in (image, label)]
            self.expected[case] = (
                old[0] if image is None else new[0].T.astype(np.float32),
                old[1] if label is None else self.order[new[1].T],
            )


RIGHT = None
Accepted = Sequence[Path | None]
"""What may come of an input: an error that names one of these files, or RIGHT."""
Damage = Callable[..., Path | Accepted | None]
Kinds = list[tuple[str, str, Damage]]
"""Name, layout and damage of each."""


def register(
    kinds: Kinds,
    name: str,
    values: Sequence[Any] = (),
    layouts: Sequence[str] = LAYOUTS,
    times: int = 1,
) -> Callable[[Damage], Damage]:
    """Add a damage to some kinds, to be done with each of some values to some layouts; of more than
    two values each to two of them, in turn."""

    def add(damage: Damage) -> Damage:
        given = [(value,) for value in values] or [()]
        for index, value in enumerate(given):
            turns = layouts if len(given) <= 2 else (layouts * 2)[index % len(layouts) :][:2]
            for layout in dict.fromkeys(turns):
                one = (name, layout, lambda site, value=value: damage(site, *value))
                kinds.extend([one] * times)
        return damage

    return add


def unpacked(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes())


def flip(path: Path, where: int, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[where] ^= 1 << bit
    path.write_bytes(content)


def edit_header(path: Path, changes: Mapping[str, Any]) -> None:
    """Set fields of a NIfTI-1 header; of a field of several numbers, those in a dict."""
    content = unpacked(path)
    header = nib.Nifti1Header(content[:348], check=False)
    for name, value in changes.items():
        for index, number in value.items() if isinstance(value, dict) else [(..., value)]:
            header[name][index] = number
    path.write_bytes(gzip.compress(header.binaryblock + content[348:], 1))


def rewrite(path: Path, change: Callable[[Any], Any], image_class: Any = nib.Nifti1Image) -> Any:
    """Save other voxels; returns them."""
    image = nib.load(path)
    voxels = change(np.asarray(image.dataobj))
    nib.save(image_class(voxels, image.affine, dtype=voxels.dtype), path)
    return voxels


def table_of(site: Site) -> pd.DataFrame:
    return pd.read_csv(site.table, dtype=str).fillna("")


def change_table(site: Site, rows: Any, columns: Any, value: str) -> None:
    table = table_of(site)
    table.loc[rows, columns] = value
    table.to_csv(site.table, index=False)


def json_of(**fields: Any) -> bytes:
    return json.dumps({"labels": LABELS} | fields, ensure_ascii=False).encode()


@dataclass
class Outcome:
    """What came of an input; `complaint` says what is wrong with that, if anything is."""

    kind: str
    came: str
    complaint: str
    seconds: float
    mib: float


class Hang(BaseException):
    """No `Exception`, which a reader may take for a library's."""


def hang(*_: Any) -> None:
    raise Hang


def memory(what: str) -> float:
    """MiB of this process."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(re.findall(rf"{what}:\s+(\d+)", status)[0]) / 1024


def read(site: Site, accepted: Accepted, warned: Sequence[str]) -> tuple[str, str]:
    """What comes of an input, and what is wrong with that."""
    try:
        table = make_case_table({"d": DataFolder(site.layout, site.root, **site.options)})
    except ProblemsError as error:
        problem, *others = error.problems
        names = [str(file) for file in accepted if file]
        if others:
            return "errors", str(error.problems)
        if not problem.startswith(tuple(f"{name}{end}" for name in names for end in (": ", ", "))):
            return "error", f"{problem!r} names none of {names}"
        if not problem.isprintable() or len(problem) > 600 + len(names[0]):
            return "error", f"{problem!r} is not clear"
        return "one error", ""
    if None not in accepted:
        return "read", "no error"
    if set(table["case"]) != set(site.expected):
        return "read", f"cases {table['case'].tolist()}"
    for row in table.itertuples(index=False):
        if not all(
            map(np.array_equal, (read_image(row), read_label(row)), site.expected[row.case])
        ):
            return "read", f"other voxels of {row.case}"
        spacing = (row.spacing_z, row.spacing_y, row.spacing_x)
        if site.spacing and spacing != site.spacing:
            return "read", f"spacing {spacing}"
    if site.repaired != any(message.startswith(f"{site.told(site.image)}: ") for message in warned):
        return "read", f"warnings {warned}"
    return "read right", ""


def read_all(inputs: Sequence[tuple[str, Site, Accepted]]) -> list[Outcome]:
    """One after another, with 1 GiB more of memory than this process has."""
    warned: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: warned.append(record.getMessage())
    logging.getLogger("cardiouq").addHandler(handler)
    signal.signal(signal.SIGALRM, hang)
    read(*inputs[0][1:], warned)  # what is imported when it is first needed
    limit = int((memory("VmSize") + MOST_MIB) * 2**20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    outcomes = []
    for name, site, accepted in inputs:
        warned.clear()
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak starts anew
        before, start = memory("VmRSS"), time.process_time()
        with warnings.catch_warnings(record=True) as stray:
            warnings.simplefilter("always")
            signal.alarm(HANG_S)
            try:
                came, complaint = read(site, accepted, warned)
            except (Exception, Hang) as error:
                came, complaint = "crash", repr(error)
            signal.alarm(0)
        seconds, mib = time.process_time() - start, memory("VmHWM") - before
        complaint = complaint or "; ".join(str(warning.message) for warning in stray)
        outcomes.append(Outcome(name, came, complaint, seconds, mib))
    return outcomes


def main(given: Path, answer: Path) -> None:
    inputs = [(name, Site(**site), files) for name, site, files in pickle.loads(given.read_bytes())]
    answer.write_bytes(pickle.dumps([vars(outcome) for outcome in read_all(inputs)]))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
