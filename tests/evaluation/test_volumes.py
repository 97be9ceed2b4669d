import nibabel as nib
import numpy as np
import pytest
from nibabel.imagestats import mask_volume

from cardiouq.evaluation.volumes import volume_ml


def test_agrees_with_nibabel():
    mask = np.random.default_rng(0).random((4, 6, 5)) > 0.5
    image = nib.Nifti1Image(mask.T.astype(np.uint8), np.diag([1.25, 1.5, 8, 1]))
    assert volume_ml(mask, (8, 1.5, 1.25)) == pytest.approx(mask_volume(image) / 1000)


def test_of_nothing_is_zero():
    assert volume_ml(np.zeros((2, 2, 2), bool), (10, 1, 1)) == 0
