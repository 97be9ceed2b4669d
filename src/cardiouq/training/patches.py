"""Where patches lie in preprocessed cases, which are on the device or memory-mapped on disk."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cardiouq.device.choose import has_room, sent_to
from cardiouq.files.reading import map_array
from cardiouq.recipes.augmentation import Location
from cardiouq.structures import IGNORED, N_CLASSES


class PatchSampler:
    """Sampler of where the patches of a batch lie.

    Attributes:
        images: per case (slices, rows, columns) float32, on the device if all of them have room.
        labels: the same of uint8.
        foreground: per case value of a structure -> how many voxels of it there are up to the end
            of each slice, (slices,).
        annotated: per case (slices,) how many pixels of each slice someone annotated.
        in_part: per case whether these are not all.
    """

    def __init__(
        self,
        folder: Path,
        cases: Sequence[str],
        patch_size: tuple[int, int],
        foreground_share: float,
        device: torch.device,
    ) -> None:
        images = [memory_map(folder / f"{case}_image.npy") for case in cases]
        self._labels = [memory_map(folder / f"{case}_label.npy") for case in cases]
        self.foreground = [_voxels_up_to(label) for label in self._labels]
        self.annotated = [np.count_nonzero(label != IGNORED, (1, 2)) for label in self._labels]
        self.in_part = [
            int(counts.sum()) < label.size
            for counts, label in zip(self.annotated, self._labels, strict=True)
        ]
        self.patch_size = patch_size
        self.foreground_share = foreground_share
        self.device = device
        needed = sum(volume.nbytes for volume in (*images, *self._labels))
        near = device if has_room(device, needed) else torch.device("cpu")
        self.images, self.labels = (
            [torch.from_numpy(volume).to(near) for volume in volumes]
            for volumes in (images, self._labels)
        )

    def sample_batch(self, batch_size: int, rng: np.random.Generator) -> list[Location]:
        """Sample the slices of a batch, which are on the device, and the patches' centres in them.

        As in nnU-Net, the last `foreground_share` of a batch is centred on a voxel of a structure
        drawn at random; the rest lie anywhere in a random slice of a random case, or in a case that
        is annotated in part around a random annotated voxel.
        """
        first_forced = batch_size - round(batch_size * self.foreground_share)
        return [self._sample(sample >= first_forced, rng) for sample in range(batch_size)]

    def _sample(self, is_forced: bool, rng: np.random.Generator) -> Location:
        case = int(rng.integers(len(self.images)))
        slices, *shape = self.images[case].shape
        if is_forced and self.foreground[case]:
            section, centre = self._pixel_of_a_structure(case, rng)
            centre = self._nearest_centre(centre, shape)
        elif self.in_part[case]:
            section, centre = self._annotated_pixel(case, rng)
            centre = self._nearest_centre(centre, shape)
        else:
            section = int(rng.integers(slices))
            centre = [
                int(rng.integers(low, high + 1))
                for low, high in map(self._centres, shape, self.patch_size)
            ]
        image, labels = (part[case][section] for part in (self.images, self.labels))
        return Location(sent_to(self.device, image), sent_to(self.device, labels), centre)

    def annotated_shares(self) -> NDArray[np.float64]:
        """Annotated share of each slice of all cases that has any, (slices,)."""
        shares = np.concatenate(
            [
                counts / label[0].size
                for counts, label in zip(self.annotated, self._labels, strict=True)
            ]
        )
        return np.asarray(shares[shares > 0])

    def _pixel_of_a_structure(self, case: int, rng: np.random.Generator) -> tuple[int, list[int]]:
        """Slice, and row and column in it, of a voxel of one of a case's structures."""
        structures = list(self.foreground[case].items())
        value, up_to = structures[rng.integers(len(structures))]
        chosen = int(rng.integers(int(up_to[-1])))
        section = int(np.searchsorted(up_to, chosen, side="right"))
        pixels = np.argwhere(self._labels[case][section] == value)
        return section, pixels[chosen - int(up_to[section])].tolist()  # counted from the last

    def _annotated_pixel(self, case: int, rng: np.random.Generator) -> tuple[int, list[int]]:
        """Slice, and row and column in it, of an annotated voxel of a case."""
        counts = self.annotated[case]
        section = int(rng.choice(len(counts), p=counts / counts.sum()))
        pixels = np.argwhere(self._labels[case][section] != IGNORED)
        return section, pixels[rng.integers(len(pixels))].tolist()

    def _nearest_centre(self, centre: Sequence[int], shape: Sequence[int]) -> list[int]:
        """The centre of the patch that lies inside a slice of that shape."""
        return [
            int(np.clip(c, *self._centres(n, p)))
            for c, n, p in zip(centre, shape, self.patch_size, strict=True)
        ]

    @staticmethod
    def _centres(size: int, patch: int) -> tuple[int, int]:
        """First and last centre for which the patch lies inside; the middle if it does not fit."""
        if size <= patch:
            return size // 2, size // 2
        return patch // 2, size - patch + patch // 2


def memory_map(path: Path) -> NDArray[Any]:
    """Map the array of a `.npy` file into memory, without the open file that numpy keeps."""
    array = map_array(path)
    content = torch.from_file(str(path), size=path.stat().st_size, dtype=torch.uint8).numpy()
    return np.ndarray(array.shape, array.dtype, content, array.offset, array.strides)


def _voxels_up_to(label: NDArray[np.uint8]) -> dict[int, NDArray[np.int64]]:
    """The `foreground` of a case."""
    counts = {
        value: np.count_nonzero(label == value, (1, 2)).cumsum() for value in range(1, N_CLASSES)
    }
    return {value: up_to for value, up_to in counts.items() if up_to[-1]}
