"""What a finished study has to be for a method of it to be exported."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cardiouq.apply.export import export
from cardiouq.data.case_table import read_case_table
from cardiouq.data.fingerprint import fingerprint_of
from cardiouq.data.plan import Plan
from cardiouq.data.split import hold_out, read_split
from cardiouq.errors import CardiouqError
from cardiouq.study.study import Study

METHODS = ("deep_ensemble", "cv_ensemble")
"""A method of whole runs, and one of folds."""


@pytest.fixture
def study(
    make_study: Callable[[Any], Study],
    tiny: dict[str, Any],
    plan: Plan,
    split_tables: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Study:
    """The tiny study, trained on made-up tables as far as its runs tell."""
    found = make_study(tiny)
    monkeypatch.chdir(split_tables)
    # which reads the scans
    monkeypatch.setattr("cardiouq.apply.export.earlier_fingerprint_of", lambda *given: "")
    data = Path(found.results, "data")
    data.mkdir(parents=True)
    for name in ("cases.csv", "split.csv", "plan.json"):
        (split_tables / name).rename(data / name)
    cases, split = read_case_table(data / "cases.csv"), read_split(data / "split.csv")
    for method in METHODS:
        recipe = found.written["recipes"][found.recipe_of(method)]
        members = found.method_members(method)
        for path, member in zip(found.run_folders(method), members, strict=True):
            seen = hold_out(cases, split, member.fold, member.folds, found["seed"])
            identity = {
                "recipe": recipe,
                "member": str(member),
                "data_fingerprint": fingerprint_of(cases, seen, plan, recipe),
            }
            Path(path).mkdir(parents=True)
            Path(path, "run.json").write_text(json.dumps(identity), encoding="utf-8")
        scores = Path(found.results, "evaluation", method, "scores.csv")
        scores.parent.mkdir(parents=True)
        scores.touch()
    return found


@pytest.mark.parametrize("method", METHODS)
def test_runs_of_other_scans_or_of_another_plan_are_refused(
    study: Study, plan: Plan, method: str, tmp_path: Path
) -> None:
    data = Path(study.results, "data")
    table = pd.read_csv(data / "cases.csv")
    others = {
        data / "plan.json": replace(plan, patch_size=(48, 32)).to_json(),
        data / "cases.csv": table.assign(image_hash="other").to_csv(index=False),
    }
    run = study.run_folders(method)[0]
    for file, text in others.items():
        before = file.read_text(encoding="utf-8")
        for written, found in ((text, "other scans"), (before, "fitted.json: missing")):
            file.with_name(f".{file.name}.sha256").unlink(missing_ok=True)
            file.write_text(written, encoding="utf-8")
            with pytest.raises(CardiouqError, match=found) as caught:
                export(study, method, tmp_path / "model")
            assert (run in str(caught.value)) == (written == text)
