"""Folders of scans that are not there are named before anything starts."""

from pathlib import Path
from typing import Any

import pytest

from cardiouq.errors import ProblemsError
from cardiouq.study.study import Study


def test_every_folder_that_is_not_there_is_named(
    local_config: dict[str, Any], repository: Path, tmp_path: Path
) -> None:
    local_config["mnms_root"] = str(tmp_path / "nowhere")
    study = Study("zhao2022", local_config, repository / "config")
    with pytest.raises(ProblemsError) as caught:
        study.check_sources()
    empty, wrong = caught.value.problems
    assert "`acdc_root` is empty" in empty
    assert "CARDIOUQ_ACDC_ROOT" in empty
    assert str(tmp_path / "nowhere") in wrong


def test_what_only_tests_may_be_left_out(local_config: dict[str, Any], repository: Path) -> None:
    with pytest.raises(ProblemsError) as caught:
        Study("zhao2022", local_config, repository / "config").check_sources()
    split, tested = caught.value.problems
    assert "`mnms_root` is empty" in tested
    without = "or take it and its test sets out of a copy of the study"
    assert (without in split, without in tested) == (False, True)
