"""What jobs ask a batch system for, against what was measured and published."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cardiouq.data.plan import Plan
from cardiouq.progress.estimates import (
    FORWARD_SHARE,
    SECONDS_PER_VOLUME,
    START_MINUTES,
    VOLUMES,
    Resources,
    evaluation_resources,
    expected_volumes,
    images_per_volume,
    plan_of,
    prediction_resources,
    prediction_seconds,
    seconds_per_image,
    training_resources,
    weight_count,
)
from cardiouq.study.study import Study
from tests.paths import CONFIG, ROOT

LAPTOP_PLAN = ROOT / "docs/results/laptop-acdc/plan.json"
NO_PLAN = "not made yet"
DAY = 24 * 60
# study, its results, its plan, volumes of its test sets
RESULTS = [("demo", "demo", NO_PLAN, 36), ("laptop", "laptop-acdc", str(LAPTOP_PLAN), 46)]


def shipped(name: str) -> Study:
    roots = dict.fromkeys(("acdc_root", "mnms_root", "ukbb_root"), "somewhere")
    return Study(name, {"study": name, "device": "cpu"} | roots, CONFIG)


def listing(folder: Path, volumes: int) -> list[Path]:
    """The table of test sets, with so many volumes in all."""
    (folder / "test_sets.csv").write_text("test_set,case\n" + "a,b\n" * volumes, encoding="utf-8")
    return [folder / "test_sets.csv"]


def measured(results: str, rule: str) -> list[tuple[str, float, float]]:
    """Job, seconds and peak memory in MB, on a CPU core of its own.

    Processor time where it was noted, as wall time also counts what else the machine did; the
    longest repeat of a recipe, as the times of a resumed run begin where it was resumed.
    """
    times = pd.read_csv(ROOT / "docs/results" / results / "times.csv").query("rule == @rule")
    columns = ["processor_seconds", "seconds"]
    times["seconds"] = times.reindex(columns=columns).bfill(axis="columns").iloc[:, 0]
    times["job"] = times["job"].str.partition("/")[0]
    longest = times.groupby("job")[["seconds", "peak_memory_mb"]].max()
    return [(str(job), *row) for job, *row in longest.itertuples()]


def assert_fits(needs: Resources, seconds: float, peak: float) -> None:
    """Enough, and not so much that the job would wait for a place for nothing."""
    assert peak < needs.mem_mb < 2500 + 2 * peak
    assert seconds < 60 * needs.minutes < 30 * 60 + 10 * seconds


@pytest.mark.parametrize(("study", "results", "plan", "volumes"), RESULTS)
def test_measured_jobs_fit_and_not_much_more_is_asked_for(
    study: str, results: str, plan: str, volumes: int, tmp_path: Path
) -> None:
    settings = shipped(study)
    for job, seconds, peak in measured(results, "train"):
        recipe = job.rpartition("-")[0]
        assert_fits(training_resources(settings, recipe, plan, gpus=0), seconds, peak)
    test_sets = listing(tmp_path, volumes)
    for method, seconds, peak in measured(results, "predict"):
        assert_fits(prediction_resources(settings, method, plan, test_sets, gpus=0), seconds, peak)
    for method, seconds, peak in measured(results, "evaluate"):
        assert_fits(evaluation_resources(settings, method, plan, test_sets), seconds, peak)


def test_network_is_as_large_as_nnu_net_counts_it() -> None:
    """For the reference network of nnU-Net's plans, and the weights of a U-Net of the laptop's."""
    plan = Plan.from_json(LAPTOP_PLAN.read_bytes(), LAPTOP_PLAN)
    assert weight_count(plan) == pytest.approx(1_286_860, rel=0.01)  # counted by the benchmark
    paper = Plan(
        spacing=(1.5, 1.5),
        patch_size=(256, 224),
        batch_size=20,
        n_stages=6,
        features_per_stage=(32, 64, 128, 256, 512, 512),
        kernel_sizes=((3, 3),) * 6,
        strides=((1, 1), *((2, 2),) * 5),
    )
    by_hand = 256 * 224 * (2 * (32 + 16 + 8 + 4 + 2 + 0.5) + 3 * (32 + 16 + 8 + 4 + 2) + 4)
    assert paper.feature_values == by_hand


def test_papers_trainings_fit_in_a_day_of_a_gpu() -> None:
    for name in ("zhao2022", "zhao2024", "ng2022", "kushibar2022", "buddenkotte2023"):
        study = shipped(name)
        for recipe in study["recipes"]:
            needs = training_resources(study, recipe, NO_PLAN, gpus=1)
            assert 20 <= needs.minutes < DAY
            assert needs.mem_mb < 16_000


def test_training_takes_longer_with_more_images_and_less_on_a_gpu_or_as_a_branch(
    tiny: dict[str, Any], make_study: Callable[[dict[str, Any]], Study]
) -> None:
    for name in ("polynomial", "biased"):
        tiny["recipes"][name] |= {"iterations_per_epoch": 100_000}

    def minutes(recipe: str = "polynomial", gpus: int = 0) -> int:
        return training_resources(make_study(tiny), recipe, NO_PLAN, gpus).minutes

    plain = minutes()
    assert minutes(gpus=1) < plain
    # the last quarter of eight epochs
    assert minutes("biased") - START_MINUTES == pytest.approx((plain - START_MINUTES) / 4, abs=10)
    for key in ("iterations_per_epoch", "batch_size"):
        tiny["recipes"]["polynomial"][key] *= 2
        assert minutes() - START_MINUTES == pytest.approx(2 * (plain - START_MINUTES), abs=20)
        tiny["recipes"]["polynomial"][key] //= 2


def test_prediction_takes_longer_with_more_samples_and_volumes(
    tiny: dict[str, Any], make_study: Callable[[dict[str, Any]], Study], tmp_path: Path
) -> None:
    study = make_study(tiny)

    def minutes(method: str, volumes: int) -> int:
        return prediction_resources(study, method, NO_PLAN, listing(tmp_path, volumes), 0).minutes

    assert minutes("vanilla", 10) == minutes("vanilla-repeat-2", 10) == 20
    vanilla = minutes("vanilla", 10_000)
    assert vanilla > 4 * minutes("vanilla", 10)
    assert minutes("mc_dropout", 10_000) > 2.5 * vanilla
    assert minutes("checkpoint_ensemble_multi", 10_000) > 4.5 * vanilla


def test_an_evaluation_of_a_cohort_asks_for_more_than_one_of_a_few_volumes(tmp_path: Path) -> None:
    """A volume of 6 samples was measured to take 0.23 s; with 50 it is taken to be 0.6 s."""
    ng2022, laptop = shipped("ng2022"), shipped("laptop-ng2022")
    for study, samples_seconds in ((laptop, 0.23), (ng2022, 0.6)):
        few, many = (
            evaluation_resources(study, "mcd_0_1", NO_PLAN, listing(tmp_path, volumes))
            for volumes in (46, 15_000)
        )
        assert few.minutes == 20
        assert 15_000 * samples_seconds < 60 * many.minutes < 6 * 15_000 * samples_seconds
        assert few.mem_mb < many.mem_mb < 8000


def test_a_method_fitted_on_a_cohort_asks_for_the_logits_that_it_keeps(
    tiny: dict[str, Any], make_study: Callable[[dict[str, Any]], Study], tmp_path: Path
) -> None:
    """In float32, on the grid of a plan like the papers'; whoever counts voxels keeps none."""
    tiny["split"] |= {"validation_fraction": 0.3, "test_fraction": 0.3}
    tiny["phantom"]["acdc_subjects"] = 20
    tiny["test_sets"]["phantom-val"]["split"] = "test"
    del tiny["methods"]["vector_scaling"]["folds"]
    tiny["methods"]["temperature_fitted"]["repeats"] = 2
    study, split = make_study(tiny), tmp_path / "split.csv"
    plan = replace(plan_of(study, NO_PLAN), spacing=(1.5, 1.5), crop=(200, 200))
    (tmp_path / "plan.json").write_text(plan.to_json(), encoding="utf-8")

    def gigabytes(method: str, gpus: int = 0) -> float:
        given = study, method, tmp_path / "plan.json", [], gpus, split
        return prediction_resources(*given).mem_mb / 1000

    plain, without_split = gigabytes("vanilla"), gigabytes("temperature_fitted")
    rows = ["dataset,subject,pathology,split", *(f"a,{n},NOR,train" for n in range(2000))]
    split.write_text("\n".join([*rows, "a,2000,NOR,validation"]), encoding="utf-8")
    volume = 12 * 200 * 200 * 4 * 4 / 1e9
    assert without_split - plain == pytest.approx(VOLUMES * volume, abs=0.5)
    assert gigabytes("temperature_fitted") - plain == pytest.approx(4000 * volume, abs=0.5)
    assert gigabytes("temperature_fitted-repeat-2") == gigabytes("temperature_fitted")
    assert gigabytes("vector_scaling") - plain <= 0.5  # of the validation side
    assert gigabytes("isotonic") == gigabytes("temperature_scaling") == plain
    assert gigabytes("temperature_fitted", gpus=1) == gigabytes("vanilla", gpus=1)


def test_prediction_takes_a_pass_for_each_network_and_not_for_each_sample(
    tiny: dict[str, Any], make_study: Callable[[dict[str, Any]], Study]
) -> None:
    study, plan = make_study(tiny), plan_of(shipped("zhao2022"), NO_PLAN)

    def passes(name: str) -> float:
        """Of a volume, by what they cost beside the samples that are added up."""
        seconds = prediction_seconds(study, name, plan, [], gpus=0) / expected_volumes(study, name)
        seconds -= study.sample_count(name, plan) * SECONDS_PER_VOLUME
        return seconds / (FORWARD_SHARE * images_per_volume(study) * seconds_per_image(plan, 0))

    assert passes("vanilla-repeat-2") == pytest.approx(1)
    assert passes("mc_dropout") == pytest.approx(3)
    assert passes("evidential") == pytest.approx(1)  # of two samples
    assert passes("layer_ensemble") == pytest.approx(1)  # of eight
    assert passes("calibrated_ensemble") == pytest.approx(4)  # for two samples
    assert passes("vector_scaling") == pytest.approx(2)  # one to fit it


def test_volumes_of_a_phantom_are_known_before_they_are_made() -> None:
    """Of the demo's 36 in its test sets, and of one subject 12 distorted ones."""
    assert expected_volumes(shipped("demo"), "vanilla") == pytest.approx(36 + 12, rel=0.1)
    assert expected_volumes(shipped("laptop"), "vanilla") == VOLUMES


def test_repeats_predict_no_distorted_scans(
    tiny: dict[str, Any], make_study: Callable[[dict[str, Any]], Study]
) -> None:
    study = make_study(tiny)
    assert study.distorted_test_sets()
    first, second = (expected_volumes(study, name) for name in ("vanilla", "vanilla-repeat-2"))
    assert second < first
    del tiny["distortions"]
    assert expected_volumes(make_study(tiny), "vanilla") == second


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\x00"])
def test_unreadable_files_are_left_for_the_job_to_report(content: bytes, tmp_path: Path) -> None:
    study = shipped("demo")
    broken = tmp_path / "broken"
    broken.write_bytes(content)
    assert training_resources(study, "polynomial", broken, 0) == training_resources(
        study, "polynomial", NO_PLAN, 0
    )
    assert prediction_resources(study, "vanilla", broken, [broken], 0).minutes > 0


def test_every_failure_asks_for_more_up_to_three_times() -> None:
    assert [Resources(1000, 10).at(attempt) for attempt in (1, 2, 3, 9)] == [
        (1000, 10),
        (2000, 20),
        (3000, 30),
        (3000, 30),
    ]
