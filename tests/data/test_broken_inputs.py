"""Broken and hostile inputs of every layout: each is one clear error that names the file, or is
read right, in under two seconds and one GiB.

Every input is a small folder that is well, damaged in one place, with a fixed seed. They are read
by a process of their own, this file as a script, which cannot have more memory than that.
"""

import gzip
import json
import logging
import os
import pickle
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise, product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from cardiouq.data.cases import make_case_table
from cardiouq.data.readers.adapters import ADAPTERS
from cardiouq.data.readers.layouts import MNMS_COLUMNS, DataFolder
from cardiouq.data.readers.pseudonyms import pseudonym
from cardiouq.data.readers.scans import (
    load_prediction,
    load_volume,
    read_image,
    read_label,
    write_volume,
)
from cardiouq.errors import CardiouqError, ProblemsError

SEED = 2026
FEWEST, MOST_SECONDS, MOST_MIB = 300, 2, 1024
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
KINDS: list[tuple[str, str, Damage]] = []
"""Name, layout and damage."""


def kind(
    name: str, values: Sequence[Any] = (), layouts: Sequence[str] = LAYOUTS, times: int = 1
) -> Callable[[Damage], Damage]:
    """Register a damage, to be done with each of some values to some layouts; of more than two
    values each to two of them, in turn."""

    def add(damage: Damage) -> Damage:
        given = [(value,) for value in values] or [()]
        for index, value in enumerate(given):
            turns = layouts if len(given) <= 2 else (layouts * 2)[index % len(layouts) :][:2]
            for layout in dict.fromkeys(turns):
                KINDS.extend(
                    [(name, layout, lambda site, value=value: damage(site, *value))] * times
                )
        return damage

    return add


# ---------------------------------------------------------------- packed files

ZEROS = gzip.compress(bytes(2**26), 9)
"""Of 64 MiB. Members of a gzip file lie end to end, so that many of them are a bomb."""


def unpacked(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes())


def header_only(shape: Sequence[int], dtype: Any) -> bytes:
    header = nib.Nifti1Header()
    header.set_data_dtype(dtype)
    header.set_data_shape(shape)
    header["vox_offset"] = 352
    return gzip.compress(header.binaryblock + bytes(4))


def flip(path: Path, where: int, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[where] ^= 1 << bit
    path.write_bytes(content)


@kind("gzip truncated", times=5)
def truncated(site: Site) -> Path:
    file = site.either()
    os.truncate(file, site.rng.integers(1, file.stat().st_size))
    return file


@kind("gzip truncated", range(1, 9), ["acdc"])
def truncated_checksum(site: Site, missing: int) -> Path:
    file = site.either()
    os.truncate(file, file.stat().st_size - missing)
    return file


@kind("gzip with a flipped bit", times=5)
def flipped(site: Site) -> Accepted:
    file = site.either()
    flip(file, site.rng.integers(file.stat().st_size), site.rng.integers(8))
    return [file, RIGHT]  # its header says things that nobody reads


@kind("gzip with garbage behind")
def garbage_behind(site: Site) -> Path:
    file = site.either()
    file.write_bytes(file.read_bytes() + b"garbage")
    return file


@kind("gzip of several members")
def several_members(site: Site) -> None:
    file = site.either()
    content = unpacked(file)
    cuts = [0, *sorted(site.rng.integers(0, len(content), 3)), len(content)]
    file.write_bytes(b"".join(gzip.compress(content[a:b]) for a, b in pairwise(cuts)))


@kind("gzip of 2.5 MiB", layouts=["csv"])
def large(site: Site) -> None:
    voxels = [site.rng.integers(0, most, (256, 256, 40), np.uint8) for most in (99, 4)]
    rewrite(site.image, lambda _: voxels[0])
    rewrite(site.label, lambda _: voxels[1])
    site.expect(*voxels)


@kind("gzip of 2.5 MiB", [-1, -5, -100, 200, 400_000], ["csv"])
def large_and_flipped(site: Site, where: int) -> Path:
    large(site)
    file = site.either()
    flip(file, where, site.rng.integers(8))
    return file


@kind("bomb behind the voxels")
def bomb_behind(site: Site) -> Path:
    file = site.either()
    file.write_bytes(file.read_bytes() + ZEROS * 32)
    return file


@kind("bomb as large as its header says", [(2048, 2048, 256)], ["acdc", "ukbb", "nnunet", "csv"])
@kind("bomb as large as its header says", [(2048, 2048, 8, 32)], ["mnms"])
@kind("bomb as large as a scan", [(512, 512, 128)], ["acdc"])
@kind("bomb as large as a scan", [(256, 256, 16, 128)], ["mnms"])
def bombs(site: Site, shape: Sequence[int]) -> Path:
    size = 2 * int(np.prod(shape))
    for file in (site.image, site.label):
        file.write_bytes(header_only(shape, np.int16) + ZEROS * (size // 2**26))
    return site.image


@kind("bomb as large as a scan", layouts=["csv"])
def bomb_of_doubles(site: Site) -> Path:
    bombs(site, (512, 512, 128))
    site.image.write_bytes(header_only((512, 512, 128), np.float64) + ZEROS * 4)
    return site.image


PAGE = b"<html>404 not found</html>" * 40
NO_SCANS = (b"", b"\n", PAGE, bytes(5000), b"\xff" * 5000)
OTHER_FORMATS = (b"\x89PNG\r\n\x1a\n", b"PK\x03\x04", b"\x93NUMPY\x01\x00", b"\x1f\x8b", b"BZh9")


@kind("no NIfTI", NO_SCANS, ["acdc", "mnms"])
@kind("no NIfTI", [gzip.compress(content) for content in NO_SCANS], ["acdc", "mnms"])
@kind("no NIfTI", [magic + bytes(2000) for magic in OTHER_FORMATS], ["acdc", "mnms"])
def other_content(site: Site, content: bytes) -> Path:
    file = site.either()
    file.write_bytes(content)
    return file


@kind("random bytes", [bytes, gzip.compress], times=2)
def random_content(site: Site, pack: Callable[[bytes], bytes]) -> Path:
    return other_content(site, pack(site.rng.bytes(site.rng.integers(300, 4000))))


@kind("not packed as its name says", [gzip.compress, gzip.decompress])
def packed_otherwise(site: Site, pack: Callable[[bytes], bytes]) -> Path:
    file = site.either()
    file.write_bytes(pack(file.read_bytes()))
    return file


@kind("not packed", layouts=["csv", "nnunet"])
def not_packed(site: Site) -> None:
    for path in site.root.rglob("*.nii.gz"):
        path.with_suffix("").write_bytes(unpacked(path))
        path.unlink()
    if site.layout == "nnunet":
        site.table.write_text(
            json.dumps({"labels": LABELS, "file_ending": ".nii"}), encoding="utf-8"
        )
    else:
        site.table.write_text(
            site.table.read_text(encoding="utf-8").replace(".nii.gz", ".nii"), encoding="utf-8"
        )


@kind("not packed, truncated", [0, 100, 352, 400], ["csv", "nnunet"])
def not_packed_and_truncated(site: Site, size: int) -> Path:
    not_packed(site)
    file = site.either().with_suffix("")
    os.truncate(file, size)
    return file


ENDINGS = (".img", ".mgz", ".txt", ".nii.bz2", ".gii", ".mnc", ".nii.zip", "")


@kind("wrong ending", ENDINGS, ["csv"])
def wrong_ending(site: Site, ending: str) -> Path:
    file = site.image.rename(site.root / f"scan{ending}")
    change_table(site, 0, "image", file.name)
    return file


# ---------------------------------------------------------------- paths that are no file

NO_FILES = ("nothing", "folder", "pipe", "link to itself", "link to nowhere", "link to a device")


def put(what: str, path: Path) -> None:
    """Something else in a file's place."""
    moved = path.rename(path.with_name("moved"))
    if what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    elif what != "nothing":
        targets = {"itself": path, "nowhere": "nowhere", "a device": "/dev/zero", "a file": moved}
        path.symlink_to(targets[what.removeprefix("link to ")])


@kind("no file", product([0], NO_FILES))
@kind("no file", product([1], NO_FILES), ["acdc", "mnms", "csv"])
@kind("no file", product([1], NO_FILES[1:]), ["nnunet"])
@kind("no file", product([2], NO_FILES[1:]))
@kind("no file", [(2, "nothing")], ["acdc", "ukbb", "nnunet", "csv"])
def no_file(site: Site, given: tuple[int, str]) -> Path:
    which, what = given
    put(what, site.files[which])
    return site.files[which]


@kind("no file", layouts=["mnms"])
def no_file_by_that_name(site: Site) -> Path:
    put("nothing", site.table)
    return site.root


@kind("no label, left out", layouts=["ukbb", "nnunet"])
def no_label(site: Site) -> None:
    site.label.unlink()
    for case in site.frames:
        del site.expected[case]


@kind("link to a file", range(3))
def linked(site: Site, which: int) -> None:
    put("link to a file", site.files[which])


@kind("link to a folder that is gone", layouts=["acdc", "mnms"])
def linked_to_no_folder(site: Site) -> Path:
    folder = site.image.parent
    shutil.rmtree(folder)
    folder.symlink_to("nowhere")
    return site.table if site.layout == "acdc" else site.image


@kind("empty folder")
def emptied(site: Site) -> Path:
    for path in site.root.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif site.layout != "ukbb":
            path.unlink()
    return site.table if site.layout in ("nnunet", "csv") else site.root


# ---------------------------------------------------------------- headers


def edit_header(path: Path, changes: Mapping[str, Any]) -> None:
    """Set fields of a NIfTI-1 header; of a field of several numbers, those in a dict."""
    content = unpacked(path)
    header = nib.Nifti1Header(content[:348], check=False)
    for name, value in changes.items():
        for index, number in value.items() if isinstance(value, dict) else [(..., value)]:
            header[name][index] = number
    path.write_bytes(gzip.compress(header.binaryblock + content[348:], 1))


LYING_SIZES = (
    *({1: 30000, 2: 30000, 3: 30000}, {1: 32767, 2: 32767, 3: 1}, {1: 2000, 2: 2000, 3: 8}),
    *({0: 7} | dict.fromkeys(range(1, 8), 32767), {0: 7} | dict.fromkeys(range(4, 8), 1)),
    *({0: 0}, {0: -3}, {0: 8}, {0: 200}, {0: 1}, {0: 2}, {0: 5, 4: 1, 5: 1}),
    *({1: -12}, {2: 0}, {3: -32768}, {1: 11}, {1: 13}, {3: 2}, {3: 4}),
)
SPATIAL = ("srow_x", "srow_y", "srow_z")


@kind("header lies about dimensions", [{"dim": sizes} for sizes in LYING_SIZES])
@kind("wrong magic", [{"magic": magic} for magic in (b"n+9", b"xxxx", b"", b"n+2")])
@kind(
    "wrong offset of the voxels",
    [{"vox_offset": offset} for offset in (np.nan, np.inf, -1, 16, 400, 353, 1e9, 1e30)],
    ["acdc", "mnms", "csv"],
)
@kind(
    "type that is none, or of another size",
    [{"datatype": code} for code in (0, 1, 255, 9999, -1, 4096, 64, 128, 32, 1792, 2304)],
    ["acdc", "mnms", "csv"],
)
@kind(
    "voxel size",
    [
        {"pixdim": {axis + 1: size}}
        for axis, size in enumerate((0, -1.5, np.nan, np.inf, -np.inf, 1e30, 1e-30, 1500, 0.0015))
        for axis in [axis % 3]
    ],
)
@kind("affine", [{"srow_y": {1: np.nan}}, {"srow_z": {3: np.inf}}, dict.fromkeys(SPATIAL, 0)])
@kind("affine", [{"srow_x": 1, "srow_y": 1}, dict.fromkeys(SPATIAL, np.nan)])
@kind(
    "only a qform, and broken",
    [{"sform_code": 0, "qform_code": 1, "quatern_b": b} for b in (np.nan, np.inf, 2, -1.01)],
    ["acdc", "mnms", "csv"],
)
def wrong_header(site: Site, changes: Mapping[str, Any]) -> Path:
    file = site.either()
    edit_header(file, changes)
    return file


@kind("header lies about dimensions", [{3: 2}, {3: 4}, {1: 32767}])
def both_lie(site: Site, sizes: dict[int, int]) -> Path:
    for file in (site.image, site.label):
        edit_header(file, {"dim": sizes})
    return site.image


@kind("header with a flipped bit", times=5)
def flipped_header(site: Site) -> Accepted:
    """Where it says the grid, the type and the place; another place is no error."""
    file = site.either()
    file.write_bytes(unpacked(file))
    flip(file, site.rng.integers(40, 108), site.rng.integers(8))
    file.write_bytes(gzip.compress(file.read_bytes()))
    site.spacing = None
    return [file, site.label, RIGHT]


@kind("NIfTI-2 that lies", [2**62, 2**31, -(2**63), 2**40], ["acdc", "mnms", "csv"])
def lying_second(site: Site, size: int) -> Path:
    file = site.either()
    rewrite(file, lambda voxels: voxels, nib.Nifti2Image)
    content = unpacked(file)
    header = nib.Nifti2Header(content[:540])
    header["dim"][1] = size
    file.write_bytes(gzip.compress(header.binaryblock + content[540:]))
    return file


@kind("extension that lies", [0, 7, -16, 17, 2**20, 2**31 - 16, -(2**31)], ["acdc", "mnms"])
def lying_extension(site: Site, size: int) -> Path:
    file = site.either()
    edit_header(file, {"vox_offset": 368})
    content = unpacked(file)
    extension = struct.pack("<4B2i8x", 1, 0, 0, 0, size, 6)
    file.write_bytes(gzip.compress(content[:348] + extension + content[352:]) + ZEROS * 16)
    return file


@kind("affine of one file only", [{"srow_x": {0: 1.5}}, {"srow_x": {3: 0.5}}, {"srow_x": {1: 0.3}}])
@kind(
    "affine of one file only", [{"sform_code": 0}, {"srow_x": {0: 0, 1: 1}, "srow_y": {0: 1, 1: 0}}]
)
def other_affine(site: Site, changes: Mapping[str, Any]) -> Accepted:
    file = site.either()
    edit_header(file, changes)
    return [file, site.label]  # it may contradict the file's own voxel size


STALE = ({1: 1, 2: 1, 3: 1.2}, {3: 10}, {1: 1.502}, {2: 1.5, 1: 1.25}, {1: 0.0015, 2: 0.00125})


@kind("voxel size told twice", [{"pixdim": sizes} for sizes in STALE])
@kind("voxel size told twice", [{"srow_z": {2: 9.6}}, {"srow_x": {0: 1.6}}, {"srow_y": {1: -1}}])
@kind("units that are not mm", [{"xyzt_units": units} for units in (1, 3, 1 + 8, 3 + 16, 1 + 32)])
def contradiction(site: Site, changes: Mapping[str, Any]) -> Accepted:
    for file in (site.image, site.label):
        edit_header(file, changes)
    return [site.image, site.label]


PLACEHOLDERS = ((1, 1, 1), (-1, -1, 1), (-1, 1, -1))


def without_sform(site: Site, signs: Sequence[int]) -> None:
    for file in (site.image, site.label):
        rows = zip(SPATIAL, np.diag([*signs, 1])[:3], strict=True)
        edit_header(file, {name: dict(enumerate(row)) for name, row in rows})


@kind("sform that is a placeholder", PLACEHOLDERS)
def placeholder(site: Site, signs: Sequence[int]) -> None:
    without_sform(site, signs)


@kind("label of a scan with other voxels", product([*PLACEHOLDERS, None], [{1: 1.7}, {3: 5}]))
def label_of_other_voxels(site: Site, given: tuple[Sequence[int] | None, Any]) -> Path:
    signs, sizes = given
    if signs:
        without_sform(site, signs)
    else:
        for file in (site.image, site.label):
            edit_header(file, {"sform_code": 0, "qform_code": 0})
    edit_header(site.label, {"pixdim": sizes})
    return site.label


@kind("affine in another way", [{"sform_code": 0, "qform_code": code} for code in (0, 1, 99)])
@kind("affine in another way", [{"qform_code": 1, "quatern_b": np.nan}, {"sizeof_hdr": 0}])
def same_affine(site: Site, changes: Mapping[str, Any]) -> None:
    for file in (site.image, site.label):
        edit_header(file, changes)


@kind("directions not orthonormal", [2e-4, 1e-3, 0.02, 0.05])
def sheared(site: Site, by: float) -> None:
    for file in (site.image, site.label):
        edit_header(file, {"srow_x": {1: by}, "srow_z": {0: -by}})
    site.repaired = True


# ---------------------------------------------------------------- voxels


def rewrite(path: Path, change: Callable[[Any], Any], image_class: Any = nib.Nifti1Image) -> Any:
    """Save other voxels; returns them."""
    image = nib.load(path)
    voxels = change(np.asarray(image.dataobj))
    nib.save(image_class(voxels, image.affine, dtype=voxels.dtype), path)
    return voxels


@kind("axes swapped in one file")
def swapped(site: Site) -> Path:
    axes = [(1, 0, 2), (2, 1, 0), (0, 2, 1), (1, 2, 0)][site.rng.integers(4)]
    rewrite(site.either(), lambda voxels: voxels.transpose(*axes, *range(3, voxels.ndim)))
    return site.label


@kind("axes swapped in both files")
def swapped_alike(site: Site) -> None:
    site.expect(*(rewrite(file, lambda v: v.swapaxes(0, 1)) for file in (site.image, site.label)))


ORDERS = ((2, 0, 1), (0, 2, 1), (2, 1, 0), (1, 2, 0))


@kind("slices not along the last axis", product(ORDERS, [(1.5, 1.25, 8), (1, 1, 1)]))
def other_order(site: Site, given: tuple[Sequence[int], Sequence[float]]) -> Path:
    """Headers that say so, or that lost the voxel size."""
    order, edges = given
    for file in (site.image, site.label):
        image = nib.load(file)
        voxels = np.asarray(image.dataobj)
        voxels = np.tile(voxels, (3, 2, *[1] * (voxels.ndim - 2)))
        affine = np.diag([*edges, 1.0]) @ np.eye(4)[:, [*order, 3]]
        affine[:3, 3] = 5
        nib.save(nib.Nifti1Image(voxels.transpose(*order, *range(3, voxels.ndim)), affine), file)
    return site.image


@kind("other dimensions", [1, 2, 4, 5, 6], ["acdc", "ukbb", "nnunet", "csv"])
@kind("other dimensions", [1, 2, 3, 5, 6], ["mnms"])
def other_dimensions(site: Site, dimensions: int) -> Path:
    def change(voxels: Any) -> Any:
        while voxels.ndim != dimensions:
            voxels = voxels[..., 0] if voxels.ndim > dimensions else np.stack([voxels] * 2, -1)
        return voxels

    file = site.either()
    rewrite(file, change)
    return file


@kind("other number of frames", [1, 2, 3, 5], ["mnms"])
def other_frames(site: Site, frames: int) -> Path:
    rewrite(site.either(), lambda voxels: voxels[..., np.arange(frames) % voxels.shape[3]])
    return site.label


RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])


@kind("several numbers in a voxel", [np.complex64, np.complex128, RGB])
def several_numbers(site: Site, dtype: Any) -> Path:
    file = site.either()
    rewrite(file, lambda voxels: np.zeros(voxels.shape, dtype))
    return file


@kind("other type", [np.int32, np.int64, np.uint16, np.float32, np.float64])
def other_type(site: Site, dtype: Any) -> None:
    rewrite(site.either(), lambda voxels: voxels.astype(dtype))


@kind("other form", ["big-endian", "NIfTI-2", "extension", "intent of CIFTI"])
def other_form(site: Site, form: str) -> None:
    file = site.either()
    image = nib.load(file)
    voxels = np.asarray(image.dataobj)
    if form == "big-endian":
        image = nib.Nifti1Image(voxels, image.affine, image.header.as_byteswapped(">"))
    elif form == "extension":
        image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"seen" * 99))
    else:
        image = nib.Nifti2Image(voxels, image.affine)
        image.header["intent_code"] = 3001 if form == "intent of CIFTI" else 0
    nib.save(image, file)


@kind("NaN and inf in the image", [np.nan, np.inf, -np.inf, 1e300])
def not_finite(site: Site, value: float) -> Path:
    rewrite(site.image, lambda v: np.where(v == v.flat[site.rng.integers(v.size)], value, v))
    return site.image


@kind("constant image", [0, -7, 1e9])
def constant(site: Site, value: float) -> Path:
    rewrite(site.image, lambda voxels: np.full(voxels.shape, value))
    return site.image


@kind("scale of the image", [(0, 5), (np.nan, 0), (np.inf, 1), (-np.inf, np.nan), (1, 0)])
def no_scale(site: Site, scale: tuple[float, float]) -> None:
    edit_header(site.image, dict(zip(("scl_slope", "scl_inter"), scale, strict=True)))


@kind("scale of the image", [(0.5, 3), (-2, 100)])
def scaled(site: Site, scale: tuple[float, float]) -> None:
    no_scale(site, scale)
    site.expect(nib.load(site.image).dataobj.get_unscaled() * scale[0] + scale[1])


@kind("scale of the image", [(3e38, 0), (1, np.nan), (1, np.inf), (1e-45, 3e38)])
def broken_scale(site: Site, scale: tuple[float, float]) -> Path:
    no_scale(site, scale)
    return site.image


@kind("scale of the label")
def scaled_label(site: Site) -> None:
    rewrite(site.label, lambda voxels: voxels * np.uint8(2))
    edit_header(site.label, {"scl_slope": 0.5, "scl_inter": 0})


@kind("label values", [4, 255, 256, 257, 1000, -1, -255, 2**40, -(2**60)])
@kind("label values", [1.5, 0.999, np.nan, np.inf, -np.inf, 1e300, -0.5, 259.0])
def other_value(site: Site, value: float) -> Path:
    rewrite(site.label, lambda v: np.where(v == 3, np.asarray(value), v.astype(np.int64)))
    return site.label


@kind("label values")
def noise_for_label(site: Site) -> Path:
    rewrite(site.label, lambda voxels: site.rng.normal(size=voxels.shape))
    return site.label


@kind("label values")
def image_for_label(site: Site) -> Path:
    shutil.copy(site.image, site.label)
    return site.label


@kind("label values, nearly", [1e-10, -2e-5, 4e-4])
def nearly(site: Site, off: float) -> None:
    """As scaling and interpolation leave them."""
    rewrite(site.label, lambda voxels: voxels + off)


@kind("label values missing", range(4))
def missing_values(site: Site, last: int) -> None:
    """None but background is a scan beside the heart."""
    site.expect(label=rewrite(site.label, lambda v: np.where(v <= last, v, 0).astype(np.uint8)))


# ---------------------------------------------------------------- what drives leave behind

APPLE_DOUBLE = b"\0\5\x16\7\0\2\0\0Mac OS X" + bytes(4080)


@kind("files of a Mac")
def of_a_mac(site: Site) -> None:
    for path in [path for path in site.root.rglob("*") if path != site.root]:
        path.with_name(f"._{path.name}").write_bytes(APPLE_DOUBLE)


@kind("files of a drive", [".DS_Store", ".nfs0001", "@eaDir", "__MACOSX", "lost+found", ".Trash-0"])
def of_a_drive(site: Site, name: str) -> None:
    for folder in [site.root, *(path for path in site.root.rglob("*") if path.is_dir())]:
        left = folder / name
        if name.startswith((".D", ".n")):
            left.write_bytes(b"Bud1")
        else:
            left.mkdir()
            shutil.copy(site.image, left / site.image.name)


# ---------------------------------------------------------------- texts

TABLES = ("mnms", "csv")
INFO = "ED: 1\nES: 9\nGroup: NOR\n"
NO_INDICES = ("-1", "1.0", "x", "²", "٣", "1e1", "nan", "1 1", "9" * 5000)
NO_VALUES = ("3", 3.0, None, True, -3, 256, 0, 1, [], {}, [[3]], ["MYO"], [0] * 10**6, 10**4000)


def json_of(**fields: Any) -> bytes:
    return json.dumps({"labels": LABELS} | fields, ensure_ascii=False).encode()


@kind("no text", [b"", b"\n\n", b"\xff\xfe", b"\xff\xfe\0", bytes(100)], LAYOUTS[:2] + LAYOUTS[3:])
@kind("no csv", [b"sep=,\n", b"{}", b"," * 100_000, b"," * 4_000_000, b"a" * 300_000], TABLES)
@kind("no csv", [gzip.compress(b"image,label,subject"), b"image;label\n" * 300_000], TABLES)
@kind("no Info.cfg", [INFO.encode("utf-16-le"), b"ED: 1\0\nES: 9\n", b"ED: 1" * 300_000], ["acdc"])
@kind("no Info.cfg", [b"ED: 1\n", b"ED=1\nES=9\n", b"ED: \nES: \n"], ["acdc"])
@kind("no Info.cfg", [f"ED: {frame}\nES: {frame}\n".encode() for frame in NO_INDICES], ["acdc"])
@kind("no dataset.json", [b'{"labels": {"RV": 1', b"[" * 100_000, b'{"a":' * 100_000], ["nnunet"])
@kind("no dataset.json", [b"[]", b"7", b"null", b'"labels"', b"{}"], ["nnunet"])
@kind("no dataset.json", [json_of(labels=labels) for labels in ([], "RV", {}, None)], ["nnunet"])
@kind(
    "no dataset.json", [json_of(file_ending=end) for end in (".png", None, 7, "", [])], ["nnunet"]
)
@kind(
    "labels of dataset.json",
    [json_of(labels=LABELS | {"LV": value}) for value in NO_VALUES],
    ["nnunet"],
)
@kind(
    "labels of dataset.json",
    [json_of(labels={name: "RV", "2": "MYO", "3": "LV"}) for name in ("²", "-1", "9" * 5000)],
    ["nnunet"],
)
@kind(
    "labels of dataset.json",
    [b'{"labels": {"LV": %s}}' % number for number in (b"9" * 5000, b"1e400", b"NaN", b"1")],
    ["nnunet"],
)
@kind("key of UK Biobank", [b"", b"short", b"\0" * 31, b" " * 99], ["ukbb"])
def wrong_text(site: Site, content: bytes) -> Path:
    site.table.write_bytes(content)
    return site.table


@kind("Info.cfg as it comes", [INFO.encode(code) for code in ("utf-8-sig", "utf-16")], ["acdc"])
@kind(
    "Info.cfg as it comes",
    [INFO.replace("\n", end).encode() for end in ("\r\n", "\r", "\n\n", " \nGröße:\n")],
    ["acdc"],
)
@kind("dataset.json as it comes", [b"\xef\xbb\xbf" + json_of(), json_of(a="ß")], ["nnunet"])
@kind(
    "dataset.json as it comes",
    [json_of(a="ß").decode().encode(code) for code in ("utf-16", "latin-1")],
    ["nnunet"],
)
@kind(
    "dataset.json as it comes",
    [
        json_of(labels={str(value): name for name, value in LABELS.items()}),
        json_of(labels={name: [value] for name, value in LABELS.items()}),
        json_of(labels=LABELS | {"ignore": 9}),
    ],
    ["nnunet"],
)
def other_text(site: Site, content: bytes) -> None:
    site.table.write_bytes(content)


@kind("random text", layouts=["acdc", "mnms", "nnunet", "csv"], times=4)
def random_text(site: Site) -> Path:
    return wrong_text(site, site.rng.bytes(site.rng.integers(1, 5000)))


@kind("text with a zero byte", layouts=["acdc", "mnms", "nnunet", "csv"], times=2)
def zero_byte(site: Site) -> Path:
    content = bytearray(site.table.read_bytes())
    content[site.rng.integers(len(content))] = 0
    return wrong_text(site, content)


@kind("text of 8 GiB", layouts=["acdc", "mnms", "nnunet", "csv"])
def huge_text(site: Site) -> Path:
    os.truncate(site.table, 2**33)
    return site.table


@kind("Info.cfg of another frame", [99, 999_999_999], ["acdc"])
def info_of_another_frame(site: Site, frame: int) -> Path:
    site.table.write_text(f"ED: {frame}\nES: 9\n", encoding="utf-8")
    return site.image.with_name(site.image.name.replace("01.nii", f"{frame}.nii"))


# ---------------------------------------------------------------- tables


def table_of(site: Site) -> pd.DataFrame:
    return pd.read_csv(site.table, dtype=str).fillna("")


def change_table(site: Site, rows: Any, columns: Any, value: str) -> None:
    table = table_of(site)
    table.loc[rows, columns] = value
    table.to_csv(site.table, index=False)


ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "latin-1", "cp1252")
FORMATS = {
    "Windows' line ends": ("\n", "\r\n"),
    "old Mac's line ends": ("\n", "\r"),
    "empty lines": ("\n", "\n\n ,,\n"),
    "every cell quoted": (r"([^,\n]+)", r'"\1"'),
    "spaces around cells": (",", " , "),
    "a line break in cells": ("\n", ',"a\nb"\n'),
    "no end of the last line": (r"\n\Z", ""),
    "rows shorter than the heading": (r"\A(.*)", r"\1,more"),
}


@kind("csv as it comes", product(ENCODINGS, ",;\t"), TABLES)
def encoded(site: Site, given: tuple[str, str]) -> None:
    encoding, separator = given
    table = table_of(site).assign(note="Zürich, ½")
    table.to_csv(site.table, sep=separator, encoding=encoding, index=False)


@kind("csv as it comes", list(FORMATS.values()), TABLES)
def formatted(site: Site, change: tuple[str, str]) -> None:
    site.table.write_bytes(re.sub(*change, site.table.read_text(encoding="utf-8")).encode())


@kind("csv in a strange encoding", ["utf-16-le", "utf-16-be", "utf-32", "cp500"], TABLES)
def encoded_strangely(site: Site, encoding: str) -> Path:
    return wrong_text(site, site.table.read_text(encoding="utf-8").encode(encoding))


@kind("csv's heading", ["missing", "twice"], TABLES, times=2)
def broken_heading(site: Site, how: str) -> Path:
    table = table_of(site)
    column = str(site.rng.choice(MNMS_COLUMNS if site.layout == "mnms" else CSV_COLUMNS))
    if how == "missing":
        table = table.drop(columns=column)
    else:
        table.insert(0, column, "x", allow_duplicates=True)
    table.to_csv(site.table, index=False)
    return site.table


@kind("csv's rows: none", layouts=TABLES)
def only_heading(site: Site) -> Path:
    table_of(site)[:0].to_csv(site.table, index=False)
    return site.table if site.layout == "mnms" else site.root


ROWS = {"again": "{}", "too long": "x{},,,x,,x", "open quote": '"{}', "huge cell": "x" * 200_000}


@kind("csv's rows: broken", list(ROWS.values()), TABLES)
def broken_row(site: Site, added: str) -> Path:
    text = site.table.read_text(encoding="utf-8")
    return wrong_text(site, f"{text}{added.format(text.splitlines()[1])}\n".encode())


@kind("frame", ["", *NO_INDICES], ["mnms"])
def no_frames(site: Site, frame: str) -> Path:
    change_table(site, slice(None), ["ED", "ES"], frame)
    return site.table


@kind("frame", ["4", "999999999"], ["mnms"])
def frames_too_large(site: Site, frame: str) -> Path:
    no_frames(site, frame)
    return site.image


@kind("frame", NO_INDICES, ["csv"])
def no_frame(site: Site, frame: str) -> Path:
    change_table(site, 0, "frame", frame)
    return site.table


@kind("frame", [(0, "0"), (1, ""), (1, "4"), (1, "999999999")], ["csv"])
def other_frame(site: Site, given: tuple[int, str]) -> Path:
    row, frame = given
    change_table(site, row, "frame", frame)
    return site.root / CSV_FILES[2 * row]


OWN_COLUMNS = ("split", "test_set", "method", "dataset", "image_hash", "spacing_x", "structure")


@kind("column of the program's own", OWN_COLUMNS, ["csv"])
def reserved_column(site: Site, name: str) -> Path:
    table_of(site).assign(**{name: "x"}).to_csv(site.table, index=False)
    return site.table


@kind("column of any other name", ["side", "index", "count", "Index", "class", "a b", "1"], ["csv"])
def own_column(site: Site, name: str) -> None:
    table_of(site).assign(**{name: "x"}).to_csv(site.table, index=False)


@kind("part in another spelling", ["Training", "TRAINING", "trainIng"], ["csv"])
def other_part(site: Site, part: str) -> Path:
    table_of(site).assign(part=["", part]).to_csv(site.table, index=False)
    return site.table


@kind("part that is not used", ["holdout", "NA", "0"], ["csv"])
def unused_part(site: Site, part: str) -> None:
    table_of(site).assign(part=["", part]).to_csv(site.table, index=False)
    del site.expected["b"]


SAME_SUBJECT = {"subject": "s1", "phase": "ED"}


@kind("two visits", [{}, {"visit": "v1"}, {"visit": ""}, {"session": ["1", "2"]}], ["csv"])
def two_visits(site: Site, columns: Mapping[str, Any]) -> Path:
    table_of(site).assign(**SAME_SUBJECT, **columns).to_csv(site.table, index=False)
    return site.root


@kind("two visits, told apart", ["visit", "session", "rater", "view"], ["csv"])
def visits_told_apart(site: Site, column: str) -> None:
    site.options["visit"] = "" if column == "visit" else column
    table = table_of(site).assign(**SAME_SUBJECT, **{column: ["NA", "2"]})
    table.to_csv(site.table, index=False)


@kind("two visits, told apart", layouts=["csv"])
def no_column_of_visits(site: Site) -> Path:
    site.options["visit"] = "session"
    return site.table


def listed(site: Site, **entries: Any) -> dict[str, Any]:
    """nnU-Net's cases where they are, in the description; its folders are renamed."""
    for kind_of in ("images", "labels"):
        (site.root / f"{kind_of}Tr").rename(site.root / kind_of)
    files = {
        f"patient001_{phase}": {
            "images": [f"images/patient001_{phase}_0000.nii.gz"],
            "label": f"labels/patient001_{phase}.nii.gz",
        }
        for phase in ("ED", "ES")
    }
    return files | entries


@kind("cases listed by nnU-Net", layouts=["nnunet"])
def listed_cases(site: Site) -> None:
    site.table.write_bytes(json_of(dataset=listed(site)))


@kind("cases listed by nnU-Net", [[], {"a": {}}, {"a": {"images": [], "label": "x"}}], ["nnunet"])
@kind("cases listed by nnU-Net", ["x", {"a": None}, {"a": {"images": [3]}}], ["nnunet"])
def listed_badly(site: Site, dataset: Any) -> Path:
    return wrong_text(site, json_of(dataset=dataset))


@kind("path", ["{outside}/scan.nii.gz", "../{outside.name}/scan.nii.gz"], ["csv"])
@kind("path", ["link/scan.nii.gz", ".//./scan_image.nii.gz"], ["csv"])
def path_elsewhere(site: Site, path: str) -> None:
    outside = site.root.with_name(f"{site.root.name} outside")
    outside.mkdir()
    shutil.copy(site.image, outside / "scan.nii.gz")
    (site.root / "link").symlink_to(outside)
    change_table(site, 0, "image", path.format(outside=outside))


@kind("path", ["nowhere.nii.gz", "/", ".", "..", "x" * 5000 + ".nii.gz", "a/" * 3000], ["csv"])
def path_to_nothing(site: Site, path: str) -> Path:
    change_table(site, 0, "label", path)
    return site.root / path


@kind("path", product(["", " "], CSV_COLUMNS), ["csv"])
def no_path(site: Site, given: tuple[str, str]) -> Path:
    change_table(site, 0, given[1], given[0])
    return site.table


NAMES = ("a/b", "../a", "..", "a b", "-a", ".a", "a" * 101, "a\tb", "ä", "a:b", "a*", "a\nb")


@kind("name of a case", NAMES, ["csv"])
def case_name(site: Site, name: str) -> Path:
    change_table(site, 0, "case", name)
    return site.root


@kind("name of a case", ["patient 1", "patient*", "patientä", "patient\n1"], ["acdc"])
def folder_name(site: Site, name: str) -> Path:
    site.image.parent.rename(site.image.parent.with_name(name))
    return site.root


@kind("name of a case", layouts=["acdc", "mnms", "ukbb"])
def folder_name_of_bytes(site: Site) -> Path:
    """No UTF-8, as on an old disk."""
    folder = site.image.parent
    shutil.copytree(folder, folder.with_name(os.fsdecode(b"patient\xe4")))
    return site.table if site.layout == "mnms" else site.root


@kind("subject that cannot be told", ["", "^(x)", "^(patient", "^patient", "(a)?"], ["nnunet"])
def no_subject(site: Site, pattern: str) -> Path:
    site.options["subject"] = pattern
    return site.root


NNUNET_TABLES = (
    "\n",
    "\0\1\2",
    "name,subject\npatient001_ED,a\npatient001_ES,a\n",
    "case,subject\npatient001_ED,a\npatient001_ES,\n",
    "case,subject\npatient001_ED,a\npatient001_ES,a\npatient001_ED,b\n",
)


@kind("cases.csv of nnU-Net", NNUNET_TABLES, ["nnunet"])
def nnunet_table(site: Site, text: str) -> Path:
    (site.root / "cases.csv").write_text(text, encoding="utf-8")
    return site.root / "cases.csv"


@kind("cases.csv of nnU-Net", NO_FILES[1:], ["nnunet"])
def no_nnunet_table(site: Site, what: str) -> Path:
    put(what, nnunet_table(site, ""))
    return site.root / "cases.csv"


@kind("cases.csv of nnU-Net", ["patient001_ED", "same"], ["nnunet"])
def nnunet_names(site: Site, name: str) -> Path | None:
    rows = f"patient001_ED,a,{name}\npatient001_ES,a,same\nnobody,a,same\n"
    nnunet_table(site, f"case,subject,name\n{rows}")
    if name == "same":
        return site.image.with_name(site.image.name.replace("_ED", "_ES"))
    site.expected["same"] = site.expected.pop("patient001_ES")
    return RIGHT


# ---------------------------------------------------------------- reading them


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


# ---------------------------------------------------------------- tests


def volumes(image: Path, label: Path, frame: int, order: Any) -> Volumes:
    """As they must be read, by nibabel alone."""
    voxels = (np.asarray(nib.load(path).dataobj) for path in (image, label))
    image_, label_ = (v if frame < 0 else v[..., frame] for v in voxels)
    return image_.T.astype(np.float32), order[label_.T]


@pytest.fixture
def sites(acdc: Any, mnms: Any, ukbb: Any, tmp_path: Path) -> dict[str, Site]:
    """One of every layout, two cases each."""
    phases, frames = ("ED", "ES"), {"ED": "01", "ES": "09"}
    patient, cine, participant = acdc.add(1), mnms.add("A1"), ukbb.add(PARTICIPANT)
    pairs = {
        phase: [patient / f"patient001_frame{frames[phase]}{end}.nii.gz" for end in ("", "_gt")]
        for phase in phases
    }
    of_cine = cine / "A1_sa.nii.gz", cine / "A1_sa_gt.nii.gz"
    of_participant = {
        phase: [participant / f"{start}sa_{phase}.nii.gz" for start in ("", "label_")]
        for phase in phases
    }
    key = ukbb.root / "pseudonym.key"
    name = pseudonym(key.read_bytes(), PARTICIPANT)
    nnunet, csv = tmp_path / "nnunet", tmp_path / "csv"
    of_nnunet = {
        phase: [nnunet / f"imagesTr/{case}_0000.nii.gz", nnunet / f"labelsTr/{case}.nii.gz"]
        for phase in phases
        for case in [f"patient001_{phase}"]
    }
    of_csv = [csv / file for file in CSV_FILES]
    copies = [*pairs["ED"], *pairs["ES"], *pairs["ED"], *of_cine]
    targets = [*of_nnunet["ED"], *of_nnunet["ES"], *of_csv]
    for file, target in zip(copies, targets, strict=True):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    (nnunet / "dataset.json").write_bytes(json_of())
    (csv / "cases.csv").write_text(
        "image,label,subject,phase,frame,case\n"
        f"{CSV_FILES[0]},{CSV_FILES[1]},s1,ED,,a\n{CSV_FILES[2]},{CSV_FILES[3]},s2,ES,2,b\n",
        encoding="utf-8",
    )
    expected = {f"patient001_{phase}": volumes(*pairs[phase], -1, IN_ORDER) for phase in phases}
    made = [
        Site(
            *("acdc", acdc.root, *pairs["ED"], patient / "Info.cfg", {"patient001_ED": -1}),
            *(expected, IN_ORDER),
        ),
        Site(
            *("mnms", mnms.root, *of_cine, mnms.table, {"A1_ED": 0, "A1_ES": 2}),
            {f"A1_{p}": volumes(*of_cine, f, REVERSED) for p, f in (("ED", 0), ("ES", 2))},
            REVERSED,
        ),
        Site(
            *("ukbb", ukbb.root, *of_participant["ED"], key, {f"{name}_ED": -1}),
            {f"{name}_{p}": volumes(*of_participant[p], -1, REVERSED) for p in phases},
            REVERSED,
            alias=(PARTICIPANT, name),
        ),
        Site(
            *("nnunet", nnunet, *of_nnunet["ED"], nnunet / "dataset.json", {"patient001_ED": -1}),
            *(expected, IN_ORDER, {"subject": "^(patient[0-9]+)_"}),
        ),
        Site(
            *("csv", csv, *of_csv[:2], csv / "cases.csv", {"a": -1}),
            {"a": expected["patient001_ED"], "b": volumes(*of_cine, 2, IN_ORDER)},
            *(IN_ORDER, {"labels": {name: LABELS[name] for name in ("RV", "MYO", "LV")}}),
        ),
    ]
    return {site.layout: site for site in made}


def table_of_kinds(outcomes: Sequence[Outcome]) -> str:
    table = pd.DataFrame([vars(outcome) for outcome in outcomes])
    came = pd.get_dummies(table["came"]).reindex(columns=["read right", "one error"])
    table = pd.concat([table, came.fillna(0).astype(int)], axis=1).assign(inputs=1)
    columns = {"inputs": "sum", "read right": "sum", "one error": "sum"}
    columns |= {"seconds": "max", "mib": "max"}
    rows = table.groupby("kind", sort=False).agg(columns)
    rows = pd.concat([rows, rows.agg(columns).to_frame("all").T])
    rows.columns = ["inputs", "read right", "one error", "worst s", "worst MiB"]
    return rows.to_string(formatters=[*["{:.0f}".format] * 3, "{:.2f}".format, "{:.0f}".format])


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited and measured as on Linux")
def test_every_broken_input_is_one_error_or_read_right(
    sites: dict[str, Site], tmp_path: Path
) -> None:
    rng = np.random.default_rng(SEED)
    inputs: list[tuple[str, Site, Accepted]] = []
    for name, layout, damage in [
        *((("none", layout, lambda _: RIGHT)) for layout in sites),
        *KINDS,
    ]:
        site = sites[layout].copied(tmp_path / f"{len(inputs):04d} {layout}", rng)
        accepted = damage(site)
        files = accepted if isinstance(accepted, list) else [accepted]
        inputs.append((name, site, [site.told(file) for file in files]))
    given, answer = tmp_path / "inputs.pickle", tmp_path / "outcomes.pickle"
    # this module has another name over there, so none of its classes
    given.write_bytes(pickle.dumps([(name, vars(site), files) for name, site, files in inputs]))
    subprocess.run([sys.executable, __file__, given, answer], check=True, timeout=600)
    outcomes = [Outcome(**outcome) for outcome in pickle.loads(answer.read_bytes())]
    print(f"\n{table_of_kinds(outcomes)}")
    complaints = [
        f"{outcome.kind}, {site.root.name}: {outcome.complaint}"
        for outcome, (_, site, _) in zip(outcomes, inputs, strict=True)
        if outcome.complaint
    ]
    assert not complaints, "\n".join(complaints)
    assert len(KINDS) >= FEWEST
    assert max(outcome.seconds for outcome in outcomes) < MOST_SECONDS
    assert max(outcome.mib for outcome in outcomes) < MOST_MIB


def test_a_prediction_has_the_repaired_geometry_of_its_scan(sites: dict[str, Site]) -> None:
    site = sites["nnunet"]
    skewed = nib.load(site.image).affine
    skewed[:3, :3] += [[0, 0.04, 0.1], [-0.02, 0, 0], [0.03, 0, 0]]
    skewed[:3, 3] = [10, -20, 30]
    for file in (site.image, site.label):
        edit_header(file, {name: skewed[axis] for axis, name in enumerate(SPATIAL)})
    written = site.root / "written.nii.gz"
    case: Any = SimpleNamespace(image=str(site.image), frame=-1)
    write_volume(load_volume(site.image, -1), case, written)
    affine = nib.load(written).affine
    edges = np.linalg.norm(affine[:3, :3], axis=0)
    directions = affine[:3, :3] / edges
    np.testing.assert_allclose(directions.T @ directions, np.eye(3), atol=1e-6)
    np.testing.assert_allclose(edges, [1.5, 1.25, 8], rtol=1e-6)
    np.testing.assert_allclose(nib.load(written).header.get_zooms(), [1.5, 1.25, 8])
    np.testing.assert_array_equal(affine[:3, 3], [10, -20, 30])
    given = skewed[:3, :3] / np.linalg.norm(skewed[:3, :3], axis=0)
    stretch = given @ directions.T  # symmetric if no rotation is nearer to what was given
    np.testing.assert_allclose(stretch, stretch.T, atol=1e-6)
    assert np.linalg.norm(given - directions) < 0.1


def test_a_broken_prediction_is_an_error_that_names_it(tmp_path: Path) -> None:
    file = tmp_path / "samples.nii.gz"
    for content in (b"", b"404", gzip.compress(bytes(5000))):
        file.write_bytes(content)
        with pytest.raises(CardiouqError, match=re.escape(f"{file}: ")):
            load_prediction(file)


def test_a_folder_that_cannot_be_listed_is_named(
    sites: dict[str, Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: DataFolder) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setitem(ADAPTERS, "acdc", replace(ADAPTERS["acdc"], find=refuse))
    with pytest.raises(ProblemsError) as caught:
        make_case_table({"d": DataFolder("acdc", sites["acdc"].root)})
    assert caught.value.problems == [f"{sites['acdc'].root}: cannot be listed (Permission denied)"]


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
