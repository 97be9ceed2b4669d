import nibabel as nib
import numpy as np
import pytest
from nibabel.imagestats import mask_volume

from cardiouq.evaluation.volumes import volume_ml


def test_agrees_with_nibabel():
    masks = np.random.default_rng(0).random((2, 4, 6, 5)) > 0.5
    images = [nib.Nifti1Image(m.T.astype(np.uint8), np.diag([1.25, 1.5, 8, 1])) for m in masks]
    expected = [mask_volume(image) / 1000 for image in images]
    assert volume_ml(masks, (8, 1.5, 1.25)) == pytest.approx(expected)


def test_of_nothing_is_zero():
    assert volume_ml(np.zeros((1, 2, 2, 2), bool), (10, 1, 1)).tolist() == [0]
