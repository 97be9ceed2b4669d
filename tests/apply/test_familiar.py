"""Limits hold scans like those that they are set on, and no others."""

import numpy as np
import pandas as pd
import pytest

from cardiouq.apply.familiar import Familiar, familiar_activations

CHANNELS = [f"channel_{index}" for index in range(6)]


def volumes(subjects: int, seed: int, shift: float = 0.0) -> pd.DataFrame:
    """Two volumes of each subject, whose numbers are normal around the subject's own."""
    rng = np.random.default_rng([7, seed])
    names = np.repeat([f"p{index}" for index in range(subjects)], 2)
    centres = np.repeat(rng.normal(shift, 1, (subjects, 7)), 2, axis=0)
    numbers = centres + rng.normal(0, 0.3, centres.shape)
    rows = pd.DataFrame(numbers, columns=["energy", *CHANNELS])
    return rows.assign(subject=names, case=[f"{name}_{i % 2}" for i, name in enumerate(names)])


def familiar(subjects: int, seed: int = 0) -> Familiar:
    return familiar_of(volumes(subjects, seed))


def familiar_of(rows: pd.DataFrame) -> Familiar:
    return Familiar(familiar_activations(rows.drop(columns="subject"), rows[["case", "subject"]]))


@pytest.mark.parametrize(("subjects", "level"), [(5, 0.8), (12, 0.9), (60, 0.95)])
def test_limits_hold_the_promised_share_of_scans_alike(subjects: int, level: float) -> None:
    beyond = []
    for seed in range(150):
        known = familiar_of(volumes(subjects, seed).drop(columns=CHANNELS))
        assert (known.level, known.n_subjects) == (level, subjects)
        highest = volumes(50, seed + 1000).groupby("subject")["energy"].max()
        beyond.append(np.mean(highest > known.limits["energy"]))
    rank = np.ceil((subjects + 1) * level)
    expected = 1 - rank / (subjects + 1)
    assert expected <= 1 - level
    assert np.mean(beyond) == pytest.approx(expected, abs=0.035)


def test_most_scans_alike_are_within_the_limit_of_distances() -> None:
    known = familiar(20)
    distances = pd.DataFrame(known.measured(volumes(100, 1)))["mahalanobis"]
    assert np.mean(distances > known.limits["mahalanobis"]) < 0.1
    assert distances.max() > 0.75 * known.limits["mahalanobis"]  # which is no wider than it must be


def test_scan_of_another_law_is_beyond_both_limits() -> None:
    known = familiar(20)
    for of_frame in known.measured(volumes(3, 1, shift=8.0)):
        energy, distance = known.beyond(of_frame)
        assert energy.startswith(f"energy {of_frame['energy']:.4g}, limit ")
        assert energy.endswith(" of 20 subjects")
        assert distance.startswith("Mahalanobis distance ")


def test_energy_alone_may_be_beyond() -> None:
    known = familiar(20)
    for of_frame in known.measured(volumes(1, 0).assign(energy=50.0)):
        [said] = known.beyond(of_frame)
        assert said.startswith("energy 50, ")


@pytest.mark.parametrize("subjects", [0, 1, 3])
def test_too_few_subjects_say_nothing(subjects: int) -> None:
    known = familiar(subjects)
    assert known.about() == {"n_subjects": subjects, "level": None, "limits": {}}
    for of_frame in known.measured(volumes(2, 1, shift=8.0)):
        assert [*known.beyond(of_frame)] == []


def test_distances_are_from_other_subjects_and_nobody_is_named() -> None:
    """A subject far from all others is so by its own limit, too."""
    rows = volumes(12, 0)
    rows.loc[rows["subject"] == "p3", CHANNELS] += 30
    known = familiar_activations(rows.drop(columns="subject"), rows[["case", "subject"]])
    assert list(known.columns) == ["subject", "energy", "mahalanobis", *CHANNELS]
    assert sorted(known["subject"].unique()) == list(range(12))
    far = known["mahalanobis"].iloc[6:8]
    assert far.min() > 3 * known["mahalanobis"].drop(far.index).max()


def test_volumes_outside_the_domain_are_left_out() -> None:
    rows = volumes(12, 0)
    inside = rows[rows["subject"] != "p3"]
    known = familiar_activations(rows.drop(columns="subject"), inside[["case", "subject"]])
    assert len(known) == 22


def test_network_without_features_has_its_energy_alone() -> None:
    rows = volumes(12, 0).drop(columns=CHANNELS)
    known = familiar_of(rows)
    [found, _] = known.measured(rows[:2].assign(energy=9.0))
    assert found == {"energy": 9.0, "mahalanobis": 0.0}
    assert len([*known.beyond(found)]) == 1
