"""What a study would measure whose numbers are exactly Zhao's, and the verdict on it."""

import copy
import json
from typing import Any

import pandas as pd
import yaml

from cardiouq.reporting.tables.judging import make_verdict
from cardiouq.reporting.tables.published import read_claims, read_published
from tests.paths import CONFIG

NUMBERS = read_published(CONFIG / "published/zhao2022.csv")
CLAIMS = read_claims(CONFIG / "published/zhao2022_claims.csv")
KEYS = ["test_set", "level", "structure", "metric"]


def settings(study: str) -> dict[str, Any]:
    loaded = yaml.safe_load((CONFIG / f"studies/{study}.yaml").read_text(encoding="utf-8"))
    found: dict[str, Any] = json.loads(json.dumps(loaded))
    return found  # through JSON, so that recipes do not share the blocks of an alias


def paper_test_sets(study: dict[str, Any]) -> dict[str, str]:
    published = {name: block["published"] for name, block in study["test_sets"].items()}
    return {ours: paper for ours, paper in published.items() if paper}


def equal_summary(study: dict[str, Any]) -> pd.DataFrame:
    """What a study would measure whose every number is exactly the published one."""
    parts = []
    for ours, paper in paper_test_sets(study).items():
        of_paper = NUMBERS[NUMBERS["test_set"] == paper]
        parts.append(of_paper.assign(test_set=ours)[["method", *KEYS, "value", "sd", "n_subjects"]])
    table = pd.concat(parts, ignore_index=True)
    return table.assign(low=table["value"] - 1e-3, high=table["value"] + 1e-3, n_empty=1)


def all_comparisons(summary: pd.DataFrame) -> pd.DataFrame:
    """Every pair once, its interval being 0.001 to either side."""
    rows = []
    for keys, group in summary.groupby(KEYS):
        values = list(zip(group["method"], group["value"], strict=True))
        for index, (method, value) in enumerate(values):
            for other, of_other in values[index + 1 :]:
                difference = round(value - of_other, 6)
                rows.append((*keys, method, other, difference))
    table = pd.DataFrame(rows, columns=[*KEYS, "method", "other", "difference"])
    intervals = {"low": table["difference"] - 9e-4, "high": table["difference"] + 9e-4}
    return table.assign(**intervals, n_subjects=20, n_empty=2)


def with_t_c(paper: dict[str, Any]) -> dict[str, Any]:
    """The paper's study with the two checkpoint ensembles of another reading of its schedule."""
    study = copy.deepcopy(paper)
    recipes, methods = study["recipes"], study["methods"]
    recipes["t_c"] = copy.deepcopy(recipes["cyclical"])
    recipes["t_c"]["schedule"]["denominator"] = "T_c"
    for name in ("checkpoint_ensemble_single", "checkpoint_ensemble_multi"):
        methods[f"{name}_t_c"] = {**methods[name], "recipe": "t_c", "reading_of": name}
    return study


def judge(
    study: dict[str, Any],
    summary: pd.DataFrame,
    paper: dict[str, Any] | None = None,
    repeats: pd.DataFrame | None = None,
    n_subjects: int = 20,
) -> pd.DataFrame:
    return make_verdict(
        summary,
        all_comparisons(summary).assign(n_subjects=n_subjects),
        NUMBERS,
        CLAIMS,
        study,
        settings("zhao2022") if paper is None else paper,
        paper_test_sets(study),
        repeats,
    )
