"""Files that hold no scan: damaged ones, of other formats, nothing at all, and strangers."""

import gzip
import json
import os
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from tests.data.readers.broken_inputs import (
    LABELS,
    RIGHT,
    ZEROS,
    Accepted,
    Kinds,
    Site,
    change_table,
    flip,
    register,
    rewrite,
    unpacked,
)

KINDS: Kinds = []
kind = partial(register, KINDS)


def header_only(shape: Sequence[int], dtype: Any) -> bytes:
    header = nib.Nifti1Header()
    header.set_data_dtype(dtype)
    header.set_data_shape(shape)
    header["vox_offset"] = 352
    return gzip.compress(header.binaryblock + bytes(4))


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
