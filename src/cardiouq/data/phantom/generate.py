"""A digital cardiac phantom, written as files in the layouts of ACDC and of M&Ms.

Short-axis stacks of parametric hearts (`groups`, `anatomy`) in torsos (`torso`) as a balanced SSFP
sequence sees them (`signal`). In-plane resolution is coarser than in clinical scans (about 2.2 mm
instead of 1.5) so that the demo trains in minutes.
"""

import csv
import string
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from cardiouq.data.noise import Floats
from cardiouq.data.phantom.anatomy import Phase, add_heart
from cardiouq.data.phantom.groups import GROUPS, Heart, random_heart
from cardiouq.data.phantom.signal import Scanner, acquire, bias_field, tissue_signals
from cardiouq.data.phantom.torso import random_torso, torso_fractions
from cardiouq.files.writing import atomic_write
from cardiouq.seeds import derive

ACDC_SCANNER = Scanner(
    vendor="Siemens",
    letter="",
    centres=(0,),
    flip_degrees=(55, 65),
    repetition_ms=3.0,
    spacing_mm=(2.1, 2.4),
    slice_mm=(9, 10),
    gap_mm=1.0,
    matrix=(128, 144),
    gain=1400,
    noise=(0.05, 0.09),
    bias=(0.2, 0.5),
    blur_mm=1.0,
    breath_hold_mm=1.5,
    relaxation_spread=0.06,
    flow=0.07,
)
MNMS_SCANNERS = (
    Scanner(
        vendor="Siemens",
        letter="A",
        centres=(1,),
        flip_degrees=(30, 42),
        repetition_ms=2.8,
        spacing_mm=(2.2, 2.5),
        slice_mm=(9, 10),
        gap_mm=0.0,
        matrix=(128, 144),
        gain=2200,
        noise=(0.13, 0.20),
        bias=(0.6, 1.0),
        blur_mm=2.1,
        breath_hold_mm=3.0,
        relaxation_spread=0.08,
        flow=0.12,
    ),
    Scanner(
        vendor="Philips",
        letter="B",
        centres=(2, 3),
        flip_degrees=(48, 58),
        repetition_ms=3.6,
        spacing_mm=(1.9, 2.1),
        slice_mm=(9, 10),
        gap_mm=0.0,
        matrix=(144, 160),
        gain=600,
        noise=(0.13, 0.20),
        bias=(0.7, 1.2),
        blur_mm=1.3,
        breath_hold_mm=2.0,
        relaxation_spread=0.08,
        flow=0.12,
    ),
)
MNMS_INFORMATION = "201014_M&Ms_Dataset_Information_-_opendataset.csv"
# The class indices 0 background, 1 RV, 2 MYO, 3 LV as M&Ms numbers them: 1 LV, 2 MYO, 3 RV.
_TO_MNMS = np.array([0, 3, 2, 1], np.uint8)


@dataclass(frozen=True)
class Subject:
    """One scanned subject: images and labels (slices, rows, columns) at ED and ES."""

    group: str
    height_cm: float
    weight_kg: float
    spacing: tuple[float, float, float]  # z, y, x in mm
    images: dict[Phase, NDArray[np.int16]]
    labels: dict[Phase, NDArray[np.uint8]]  # 1 RV, 2 MYO, 3 LV


def _stack(heart: Heart, scanner: Scanner, rng: np.random.Generator) -> tuple[Floats, float]:
    """Middle of each slice (mm from the valve plane at ED) and the distance between slices."""
    distance = round(rng.uniform(*scanner.slice_mm), 1)
    first = rng.uniform(-0.3, 0.5) * distance
    count = int(np.clip(np.ceil((heart.length - first) / distance + rng.uniform(0, 1)), 7, 12))
    return (first + distance * np.arange(count)).astype(np.float32), distance


def _heart_frame(
    scanner: Scanner, slices: int, pixel: float, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """x and y of every voxel in the heart's frame, mm: (slices, rows, columns) each.

    Every slice is another breath-hold, so the whole slice is shifted against its neighbours.
    """
    columns, rows = scanner.matrix
    turn = rng.normal(0, 0.15)
    heart = rng.normal((-12, -10), 7)
    offsets = rng.normal(0, scanner.breath_hold_mm, (slices, 2)) + heart
    shift = offsets.astype(np.float32)[:, :, None, None]
    across = ((np.arange(columns, dtype=np.float32) - columns / 2) * np.float32(pixel))[None, None]
    down = ((np.arange(rows, dtype=np.float32) - rows / 2) * np.float32(pixel))[None, :, None]
    across, down = across - shift[:, 0], down - shift[:, 1]
    cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    return cos * across + sin * down, cos * down - sin * across


def scan_subject(group: str, scanner: Scanner, seed: int) -> Subject:
    """Make one random subject of an ACDC group and scan it at end diastole and end systole."""
    rng = np.random.default_rng(seed)
    height = round(float(np.clip(rng.normal(171, 9), 150, 195)), 1)
    weight = round(float(np.clip((height / 100) ** 2 * rng.normal(25.5, 3.5), 48, 120)), 1)
    heart = random_heart(group, rng, height)
    torso = random_torso(rng, weight, heart.radius + heart.wall)
    z, distance = _stack(heart, scanner, rng)
    pixel = round(rng.uniform(*scanner.spacing_mm), 4)
    x, y = _heart_frame(scanner, len(z), pixel, rng)
    body = torso_fractions(torso, x, y, z[:, None, None], rng, pixel=pixel)
    signals = tissue_signals(scanner, rng, rng.uniform(*scanner.flip_degrees))
    bias = bias_field(rng, (x.shape[1], x.shape[2]), rng.uniform(*scanner.bias))
    noise = rng.uniform(*scanner.noise)

    images: dict[Phase, NDArray[np.int16]] = {}
    labels: dict[Phase, NDArray[np.uint8]] = {}
    phases: tuple[Phase, Phase] = ("ED", "ES")
    for phase in phases:
        fractions = body.copy()
        labels[phase] = add_heart(
            fractions, heart, phase, x, y, z, pixel=pixel, thickness=distance - scanner.gap_mm
        )
        images[phase] = acquire(
            fractions, signals, bias, scanner, rng, spacing_mm=pixel, noise=noise
        )
    return Subject(group, height, weight, (distance, pixel, pixel), images, labels)


def _write(path: Path, volume: NDArray[np.int16] | NDArray[np.uint8], subject: Subject) -> None:
    """Write (slices, rows, columns) or (frames, slices, rows, columns) as NIfTI."""
    z, y, x = subject.spacing
    affine = np.diag([-x, -y, z, 1.0])
    affine[:3, 3] = [x * volume.shape[-1] / 2, y * volume.shape[-2] / 2, 0]
    image = nib.Nifti1Image(np.asfortranarray(volume.T), affine)
    image.header.set_xyzt_units("mm", "sec")
    with atomic_write(path) as temporary:
        nib.save(image, temporary)


def coarser(scanner: Scanner, times: int) -> Scanner:
    """The same scanner with pixels so many times as large, and as many fewer of them."""
    low, high = scanner.spacing_mm
    columns, rows = scanner.matrix
    return replace(
        scanner,
        spacing_mm=(low * times, high * times),
        matrix=(columns // times, rows // times),
    )


def _write_acdc(root: Path, scanner: Scanner, subjects: int, seed: int) -> None:
    for number in range(1, subjects + 1):
        name = f"patient{number:03d}"
        own_seed = derive(seed, "phantom", "acdc", number)
        subject = scan_subject(GROUPS[(number - 1) % len(GROUPS)], scanner, own_seed)
        rng = np.random.default_rng(derive(own_seed, "frames"))
        frames: dict[Phase, int] = {"ED": 1, "ES": int(rng.integers(8, 14))}
        folder = root / "training" / name
        for phase, frame in frames.items():
            stem = f"{name}_frame{frame:02d}"
            _write(folder / f"{stem}.nii.gz", subject.images[phase], subject)
            _write(folder / f"{stem}_gt.nii.gz", subject.labels[phase], subject)
        with atomic_write(folder / "Info.cfg") as temporary:
            temporary.write_text(
                f"ED: {frames['ED']}\nES: {frames['ES']}\nGroup: {subject.group}\n"
                f"Height: {subject.height_cm}\nNbFrame: {rng.integers(20, 36)}\n"
                f"Weight: {subject.weight_kg}\n",
                encoding="utf-8",
            )


def _code(seed: int) -> str:
    """A subject code as M&Ms writes them: three times a letter and a digit."""
    rng = np.random.default_rng(seed)
    letters = rng.choice(list(string.ascii_uppercase), 3)
    digits = rng.choice(list(string.digits), 3)
    return "".join(letter + digit for letter, digit in zip(letters, digits, strict=True))


def _write_mnms(
    root: Path, scanners: Iterable[Scanner], subjects_per_vendor: int, seed: int
) -> None:
    rows: dict[str, list[str | int]] = {}
    for scanner in scanners:
        for number in range(subjects_per_vendor):
            own_seed = derive(seed, "phantom", "mnms", scanner.letter, number)
            code, attempt = _code(own_seed), 0
            while code in rows:
                attempt += 1
                code = _code(derive(own_seed, "code", attempt))
            subject = scan_subject(GROUPS[number % len(GROUPS)], scanner, own_seed)
            centre = scanner.centres[number % len(scanner.centres)]
            rows[code] = [scanner.vendor, scanner.letter, centre, 0, 1]
            folder = root / "Training" / "Labeled" / code
            image = np.stack([subject.images["ED"], subject.images["ES"]])
            label = _TO_MNMS[np.stack([subject.labels["ED"], subject.labels["ES"]])]
            _write(folder / f"{code}_sa.nii.gz", image, subject)
            _write(folder / f"{code}_sa_gt.nii.gz", label, subject)
    with (
        atomic_write(root / MNMS_INFORMATION) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as f,
    ):
        writer = csv.writer(f, lineterminator="\n")
        writer.writerow(["External code", "VendorName", "Vendor", "Centre", "ED", "ES"])
        writer.writerows([code, *rows[code]] for code in sorted(rows))


def generate(
    root: Path,
    *,
    acdc_subjects: int,
    mnms_subjects_per_vendor: int,
    coarser_pixels: int = 1,
    seed: int,
) -> None:
    """Write `root`/acdc and `root`/mnms; the same arguments give the same bytes.

    The five ACDC groups take turns in both. M&Ms cines hold ED and ES alone (frames 0 and 1).

    Args:
        coarser_pixels: size of the pixels, over that of the scanners.
    """
    acdc, *mnms = (coarser(each, coarser_pixels) for each in (ACDC_SCANNER, *MNMS_SCANNERS))
    _write_acdc(root / "acdc", acdc, acdc_subjects, seed)
    _write_mnms(root / "mnms", mnms, mnms_subjects_per_vendor, seed)
