"""Export of a method of a finished study as a model that travels."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from math import ceil, isfinite
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch

from cardiouq.apply.card import model_card
from cardiouq.apply.exported import (
    FORMAT,
    MODEL_FILE,
    read_exported,
    weights_file,
    write_exported,
)
from cardiouq.apply.familiar import familiar_activations
from cardiouq.apply.halved import HalvedRun, storage
from cardiouq.apply.orientation import Directions, mean_directions
from cardiouq.data.case_table import read_case_table
from cardiouq.data.fetch.sources import Source, read_sources
from cardiouq.data.fingerprint import earlier_fingerprint_of, fingerprint_of
from cardiouq.data.plan import Plan
from cardiouq.data.readers.scans import Case, dimensions_of, open_scan
from cardiouq.data.split import cases_of, hold_out, read_split, read_test_sets
from cardiouq.errors import CardiouqError
from cardiouq.evaluation.conformal import calibration_of
from cardiouq.evaluation.pooled import pooled
from cardiouq.evaluation.quality_control import thresholds
from cardiouq.files.asked import is_as_asked
from cardiouq.files.documents import read_json
from cardiouq.files.run_files import ASKED_FILE, RUN_FILE
from cardiouq.files.tables import read_rows
from cardiouq.methods import is_own, predicted_by
from cardiouq.methods.base import PretrainedMethod
from cardiouq.prediction.predictor import Predictor
from cardiouq.prediction.runs import IDENTITY, RunWeights, check_run
from cardiouq.prediction.sampler import RunSampler, images_in
from cardiouq.provenance.record import git_version, repository
from cardiouq.structures import PHANTOM, STRUCTURES
from cardiouq.study.sources import SOURCES
from cardiouq.study.study import Study

Run = TypeVar("Run", bound=RunWeights)

MOST_TRIED = 8
"""Volumes that half precision is tried on, at most."""
UNKNOWN_LICENCE = "that of the training scans, which CardioUQ does not know; ask who exported it"
"""Of weights from scans in a layout that no data set alone has, as public ones may be, too."""
TABLES = ("scores", "subjects", "slice_scores")
"""Tables of an evaluation that a model's intervals and thresholds come from."""


class NotingRun(RunWeights):
    """The weights of a run, which notes those that are drawn."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.drawn: set[int] = set()

    def _weights(self, epoch: int) -> dict[str, torch.Tensor]:
        self.drawn.add(epoch)
        return super()._weights(epoch)


def export(study: Study, method: str, folder: Path) -> str:
    """Write a method with its runs and all that was learnt about it to a folder.

    A few in-domain volumes are predicted, to see whether weights may be in half precision.

    Args:
        study: which has been run in the working directory, up to the method's evaluation.
        method: a key of the study's.
        folder: takes the place of a model that is there.

    Returns:
        In which precision the weights are, and why.

    Raises:
        CardiouqError: the study has no such method, has not been run so far, or with other settings
            or scans, the method is code of the user's, or something else stands where the model is
            to go.
    """
    _check(study, method, folder)
    results = Path(study.results)
    data, evaluation = results / "data", results / "evaluation" / method
    plan = Plan.read(data / "plan.json")
    table, split = read_case_table(data / "cases.csv"), read_split(data / "split.csv")
    _check_runs(study, method, table, split, plan)
    fitted = read_json(results / "prediction" / method / "fitted.json", {"type": "object"})
    tables = {name: read_rows(evaluation / f"{name}.csv") for name in TABLES}
    training = cases_of(table, split, "train")
    in_domain = study.in_domain
    like = {name: rows[pooled(rows, in_domain)] for name, rows in tables.items()}
    recipe = study.recipe_of(method)
    runs = _runs(NotingRun, study, method, plan)
    sampler = _sampler(study, method, plan, runs)
    learnt = {name: np.asarray(value) for name, value in fitted.items()}
    for _ in sampler.draws(learnt):
        pass  # the runs note which weights these need
    halved = _sampler(study, method, plan, _runs(HalvedRun, study, method, plan))
    dtype, why = storage(sampler, halved, learnt, _tried(data, table, in_domain), study["seed"])
    said = {
        "format": FORMAT,
        "cardiouq": git_version(repository()),
        "licence": licence_of(study),
        "study": study["title"],
        "name": method,
        "label": study["methods"][method]["label"],
        "structures": list(STRUCTURES),
        "method": predicted_by(study["methods"][method]),
        "recipe": study["recipes"][recipe],
        "members": [str(run.member) for run in runs],
        "fitted": fitted,
        "seed": study["seed"],
        **study["prediction"],
        "is_assd_pooled": study["evaluation"]["surface"]["assd"] == "pooled",
        "data_fingerprints": _fingerprints(runs),
        "directions": _directions(training).tolist(),
        "thresholds": _thresholds(like["slice_scores"], study["evaluation"]["poor"]),
    }
    weights = {
        weights_file(run.member, epoch): run.file(epoch)
        for run in runs
        for epoch in sorted(run.drawn)
    }
    calibration = calibration_of(tables["scores"], tables["subjects"], in_domain)
    cases = like["scores"][["case", "subject"]].drop_duplicates()
    activations = read_rows(results / "prediction" / method / "activations.csv")
    card = model_card(said, training, like["scores"], _terms(study), why)
    known = familiar_activations(activations, cases)
    write_exported(folder, said, plan, calibration, known, weights, dtype, card)
    read_exported(folder)
    return why


def _check(study: Study, method: str, folder: Path) -> None:
    """Raise a CardiouqError unless a method may be exported to a folder."""
    if method not in study.methods:
        raise CardiouqError(
            f"{study.file}: has no method {method!r}; expected one of {', '.join(study.methods)}"
        )
    if isinstance(study.methods[method], PretrainedMethod):
        raise CardiouqError(
            f"{study.file}: {method} is none of the study's own training; give the folder that "
            "nnU-Net trained into to `cardiouq apply` itself"
        )
    variant = study["recipes"][study.recipe_of(method)].get("variant", {}).get("name", "")
    if own := [name for name in (study["methods"][method]["method"], variant) if is_own(name)]:
        raise CardiouqError(
            f"{own[0]}: is a file of code, and a model is data alone; predict with this method in "
            "its study, or bring it into CardioUQ (docs/adding-a-method.md)"
        )
    if folder.exists() and not (folder / MODEL_FILE).is_file():
        raise CardiouqError(
            f"{folder}: is there, and no model; expected a folder that is yet to be made, or a "
            "model to replace"
        )
    last = Path(study.results, "evaluation", method, f"{TABLES[0]}.csv")
    if not last.is_file():
        raise CardiouqError(
            f"{last}: missing; expected the study's results below the working directory; run "
            f"`snakemake --cores all --config study={study.name}` first"
        )
    made = {
        Path(study.results, "prediction", method): study.asked(method),
        Path(study.results, "evaluation", method): study.asked_to_score(),
    }
    for products, asked in made.items():
        if not is_as_asked(products, asked):
            raise CardiouqError(
                f"{products / ASKED_FILE}: this {products.parent.name} of {method} is of other "
                f"settings or runs than {study.file} has; run `snakemake --cores all --config "
                f"study={study.name}` again first"
            )


def _check_runs(
    study: Study, method: str, cases: pd.DataFrame, split: pd.DataFrame, plan: Plan
) -> None:
    """Raise a CardiouqError unless a method's runs were trained on what the study has now."""
    recipe = study.written["recipes"][study.recipe_of(method)]
    members = zip(study.run_folders(method), study.method_members(method), strict=True)
    for path, member in members:
        seen = hold_out(cases, split, member.fold, member.folds, study["seed"])
        fingerprint = fingerprint_of(cases, seen, plan, recipe)
        earlier = partial(earlier_fingerprint_of, cases, seen, plan)
        check_run(Path(path), recipe, member, fingerprint, earlier)


def _runs(kind: type[Run], study: Study, method: str, plan: Plan) -> list[Run]:
    """The runs of a method."""
    recipe, device = study["recipes"][study.recipe_of(method)], torch.device("cpu")
    members = zip(study.run_folders(method), study.method_members(method), strict=True)
    return [kind(Path(path), recipe, member, plan, device) for path, member in members]


def _sampler(study: Study, method: str, plan: Plan, runs: Sequence[RunWeights]) -> RunSampler:
    """A method with its runs, as the study predicts with it."""
    overlap, mirrors = (study["prediction"][name] for name in ("tile_overlap", "mirroring"))
    predictor = Predictor(plan, overlap, torch.device("cpu"), mirrors=mirrors)
    images = images_in([Path(study.results, "data", "preprocessed")])
    schedule = study.schedule(study.recipe_of(method))
    return RunSampler(study.methods[method], runs, schedule, predictor, images)


def _tried(data: Path, table: pd.DataFrame, in_domain: Iterable[str]) -> list[Case]:
    """Volumes that half precision is tried on, spread evenly over the in-domain test sets."""
    test_sets = read_test_sets([data / "test_sets.csv"], table)
    found = {case.case: case for name in in_domain for case in test_sets[name]}
    return list(found.values())[:: max(1, ceil(len(found) / MOST_TRIED))]


def _fingerprints(runs: Iterable[RunWeights]) -> list[str]:
    """Fingerprints of what the runs were trained on; folds have one each."""
    found = (read_json(run.folder / RUN_FILE, IDENTITY)["data_fingerprint"] for run in runs)
    return sorted(set(found))


def _directions(training: pd.DataFrame) -> Directions:
    """Mean of the directions of the training scans' axes."""
    files = training[["image", "frame"]].itertuples(index=False, name=None)
    return mean_directions(open_scan(path, dimensions_of(frame)).affine for path, frame in files)


def _thresholds(slice_scores: pd.DataFrame, poor: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Structure -> metric and threshold of a flag; none without an in-domain test set."""
    if slice_scores.empty:
        return {}
    found = thresholds(slice_scores, poor).items()
    return {name: {"metric": m, "from": t if isfinite(t) else None} for name, (m, t) in found}


def licence_of(study: Study) -> str:
    """The licence of the training scans, which the weights are under."""
    if study["datasets"][study["split"]["dataset"]]["source"] == PHANTOM:
        return "Apache-2.0"  # CardioUQ itself generates them
    terms = _terms(study)
    return terms.licence if terms else UNKNOWN_LICENCE


def _terms(study: Study) -> Source | None:
    """Where the training scans are got and on which terms; None of unknown and generated ones."""
    dataset = study["datasets"][study["split"]["dataset"]]
    known = read_sources(study.config_folder / SOURCES)
    return None if dataset["source"] == PHANTOM else known.get(dataset["layout"])
