"""Headers and voxels that contradict one another, or what a scan is."""

import gzip
import shutil
import struct
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from tests.data.readers.broken_inputs import (
    RIGHT,
    SPATIAL,
    ZEROS,
    Accepted,
    Kinds,
    Site,
    edit_header,
    flip,
    register,
    rewrite,
    unpacked,
)

KINDS: Kinds = []
kind = partial(register, KINDS)


LYING_SIZES = (
    {1: 30000, 2: 30000, 3: 30000},
    {1: 32767, 2: 32767, 3: 1},
    {1: 2000, 2: 2000, 3: 8},
    {0: 7} | dict.fromkeys(range(1, 8), 32767),
    {0: 7} | dict.fromkeys(range(4, 8), 1),
    {0: 0},
    {0: -3},
    {0: 8},
    {0: 200},
    {0: 1},
    {0: 2},
    {0: 5, 4: 1, 5: 1},
    {1: -12},
    {2: 0},
    {3: -32768},
    {1: 11},
    {1: 13},
    {3: 2},
    {3: 4},
)


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
