"""How far a study is, in words."""

import re
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cardiouq.prediction.steps import Step
from cardiouq.progress.jobs import jobs_of, remaining_seconds
from cardiouq.progress.status import status
from cardiouq.study.study import Study
from tests.paths import CONFIG
from tests.progress.conftest import folder_of, write, write_history


def test_status_has_stages_rates_failures_and_the_end(study: Study, begun: Path) -> None:
    text = status(study, begun, 4, time.time())
    lines = {line.split("  ")[0]: line.split() for line in text.splitlines() if line}
    # done, of, running, stopped, failed, waiting
    n_runs = len(study.members("polynomial"))
    counts = ["1", str(n_runs), "1", "0", "0", str(n_runs - 2), "0:00:28"]
    assert lines["training polynomial"][2:9] == counts
    assert lines["training dropout"][2:8] == ["0", "1", "0", "0", "1", "0"]
    assert lines["polynomial, seed 1"][3:] == ["running", "3", "8", "4", "0:00:20"]
    assert lines["cyclical, seed 0"][3:] == ["stopped", "6", "12", "1", "0:00:06"]
    assert "seed-0.log: ERROR: the disk is full" in text
    assert "another study" not in text
    write(begun / study.results / "logs/predict/gone.log", "\nERROR: of another study\n")
    write(begun / study.results / "logs/figure_tsne.log", "\nERROR: no room\n")
    again = status(study, begun, 4, time.time())
    assert "another study" not in again and "figure_tsne.log: ERROR: no room" in again
    assert "0:00:50 spent" in text  # 16 + 12 + 6 of training, 10 + 6 of prediction
    total = sum(remaining_seconds(jobs_of(study, begun), time.time()).values())
    assert f"With 4 at once 0:{total / 4 // 60:02.0f}:" in text


def test_steps_are_counted_in_full_and_parts_of_one_are_said(
    make_study: Callable[[dict[str, Any]], Study], tiny: dict[str, Any], tmp_path: Path
) -> None:
    tiny["recipes"]["evidential"]["schedule"]["epochs"] = 3000
    study = make_study(tiny)
    log = tmp_path / study.results / "logs/predict/mc_dropout.log"
    write(log, f"10:00:00  mc_dropout: {Step(1, 3, 1, 4, 8, 6.0)}\n")
    folder = tmp_path / folder_of(study, "evidential")
    write_history(folder.with_name(f".{folder.name}.unfinished") / "products", [4.0] * 1234)
    text = status(study, tmp_path, 4, time.time())
    lines = {line.split("  ")[0]: line.split() for line in text.splitlines() if line}
    assert lines["evidential, seed 0"][3:7] == ["stopped", "1234", "3000", "4"]
    assert lines["predict mc_dropout"][2:] == ["running", "0.5", "3", "12", "0:00:30"]


def test_fresh_demo_is_said_to_take_minutes(
    local_config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nine on the 2 cores that docs/results/demo was made with, beside tables and figures."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    text = status(Study("demo", local_config, CONFIG), tmp_path, 0, time.time())
    found = re.search(r"With 2 at once 0:(\d+):\d\d are left", text)
    assert found
    assert 5 <= int(found[1]) <= 15


def test_status_is_printed_while_jobs_write_and_remove(
    make_study: Callable[[dict[str, Any]], Study], tiny: dict[str, Any], tmp_path: Path
) -> None:
    """What a job is seen to have done may be of any moment, but it is seen."""
    tiny["methods"] = {"vanilla": tiny["methods"]["vanilla"]}
    tiny["recipes"] = {"polynomial": tiny["recipes"]["polynomial"]}
    study = make_study(tiny)
    results = tmp_path / study.results
    folder = tmp_path / study.run_folder("polynomial", study.members("polynomial")[0])
    side = folder.with_name(f".{folder.name}.unfinished")
    log = results / f"logs/train/{folder.parent.name}/{folder.name}.log"
    others = [
        results / "logs/predict/vanilla.log",
        results / "benchmarks/predict/vanilla.tsv",
        results / "prediction/vanilla/samples.csv",
        results / "data/test_sets.csv",
    ]
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            for path in (log, *others, side / "products" / "history.csv"):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.open("w", encoding="utf-8").close()
                text = "epoch,seconds\n0,1.5\n" if path.suffix == ".csv" else "s\n1\n"
                path.write_text(text, encoding="utf-8")
            side.rename(folder)
            for path in (log, *others):
                path.unlink()
            shutil.rmtree(folder)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        texts = [status(study, tmp_path, 0, time.time()) for _ in range(150)]
    finally:
        over.set()
        worker.join()
    assert all("Device time" in text for text in texts)
