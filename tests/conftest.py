"""What tests of several rooms share."""

import json
import os
import signal
from pathlib import Path

from tests.paths import CONFIG, LOCAL_CONFIG, ROOT, TINY

# before torch is imported: small tensors gain nothing from more
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["PYTHONPATH"] = str(ROOT / "src")  # of processes that tests start

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from cardiouq.data.plan import Plan
from cardiouq.study.study import Study

LONGEST = ("test_end_to_end", "test_faults", "test_bit_flips")
"""Files of tests, from the one that takes longest."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have the longest files come first, then all that start Snakemake, so that in the end no
    worker waits long for another."""

    def turn(item: pytest.Item) -> tuple[int, bool]:
        name = item.path.stem
        place = LONGEST.index(name) if name in LONGEST else len(LONGEST)
        return place, item.path.parent.name != "workflow"

    items.sort(key=turn)


@pytest.fixture(scope="session")
def repository() -> Path:
    return ROOT


@pytest.fixture
def tiny() -> dict[str, Any]:
    """The settings of the tiny study, to be changed at will."""
    text = TINY.read_text(encoding="utf-8")
    settings: dict[str, Any] = json.loads(json.dumps(yaml.safe_load(text)))
    return settings  # through JSON, so that recipes do not share the blocks of an alias


@pytest.fixture
def local_config() -> dict[str, Any]:
    """The keys of `config.yaml`."""
    return {**LOCAL_CONFIG}


@pytest.fixture
def make_study(tmp_path: Path, local_config: dict[str, Any]) -> Callable[[dict[str, Any]], Study]:
    """A `Study` of changed settings."""

    def make(settings: dict[str, Any]) -> Study:
        file = tmp_path / "changed.yaml"
        file.write_text(yaml.safe_dump(settings), encoding="utf-8")
        return Study(str(file), local_config, CONFIG)

    return make


@pytest.fixture
def order_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have `make_study` write keys in the order that they are in."""
    monkeypatch.setattr(yaml, "safe_dump", partial(yaml.safe_dump, sort_keys=False))


@pytest.fixture(scope="session")
def plan() -> Plan:
    """A U-Net of four stages with four features, on patches of 32 x 32."""
    return Plan(
        spacing=(1.5, 1.5),
        patch_size=(32, 32),
        batch_size=4,
        n_stages=4,
        features_per_stage=(4, 8, 16, 16),
        kernel_sizes=((3, 3),) * 4,
        strides=((1, 1), (2, 2), (2, 2), (2, 2)),
    )


@pytest.fixture(scope="session")
def arrays(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Preprocessed volumes a, b and c of 4 x 40 x 40: noise with bright bars of labels 1 to 3."""
    folder = tmp_path_factory.mktemp("arrays")
    rng = np.random.default_rng(1)
    for case in "abc":
        label = np.zeros((4, 40, 40), np.uint8)
        top, left = rng.integers(5, 20, 2)
        for value in (1, 2, 3):
            label[1:, top + 4 * value : top + 4 * value + 4, left : left + 12] = value
        image = rng.normal(size=label.shape) + label
        np.save(folder / f"{case}_image.npy", image.astype(np.float32))
        np.save(folder / f"{case}_label.npy", label)
    return folder


@pytest.fixture
def split_tables(tmp_path: Path, plan: Plan) -> Path:
    """Folder of `cases.csv`, `split.csv` and `plan.json` of training subjects t0 to t4 and
    validation subjects v0 and v1, a case each."""
    subjects = [*(f"t{number}" for number in range(5)), "v0", "v1"]
    same = ["subject", "image_identity", "image_hash", "label_hash"]
    cases = pd.DataFrame({"case": [f"{subject}_ED" for subject in subjects]})
    cases = cases.assign(dataset="acdc", **dict.fromkeys(same, subjects))
    split = cases[["dataset", "subject"]].assign(pathology="NOR")
    split["split"] = ["train"] * 5 + ["validation"] * 2
    split.to_csv(tmp_path / "split.csv", index=False)
    cases.assign(spacing_y=1.5, spacing_x=1.5).to_csv(tmp_path / "cases.csv", index=False)
    (tmp_path / "plan.json").write_text(plan.to_json(), encoding="utf-8")
    return tmp_path


@pytest.fixture
def foreground() -> None:
    """Ctrl-C, which is ignored where a script started the tests in its background, is heeded."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


RUN = "document.title='ran'"
"""A page on which a name runs is called so."""
HOSTILE = [
    f'script><img src=x onerror="{RUN}">',
    f"</script><script>{RUN}</script>",
    f"</title><svg onload={RUN}>",
    f'"><iframe srcdoc="<script>parent.{RUN}</script>">',
    f"' onmouseover='{RUN}",
    "<!-- a comment",
    "<!--<script>",
    "]]> <b>bold</b>",
    "&lt;b&gt; &amp; &#60;",
    "javascript:alert(1)",
    "{{ snakemake.config }}",
    "{% raw %} {% endraw %}",
    "{x} {{x}} {0}",
    "%s %(x)d 100 %",
    ".. raw:: html",
    ":raw:`<b>` and ::",
    "|lt| `x`_ *y* _z_ **",
    "Tables_ [1]_ __ x__",
    "a | b || c",
    "`` `code` ```",
    "![x](y.png) [z](#a)",
    "# heading -- --- ~~gone~~",
    "- 1. a list",
    r"\input{/etc/passwd}",
    r"\end{tabular} \\ & \hline % $",
    r"$\frac$ $x$",
    r"\$x\$ ^_^ ~ #1",
    "[2cm] *",
    "=1+1",
    '@SUM(A1) "quoted"',
    "+cmd|' /C calc'!A0",
    "\N{GRINNING FACE} \N{WOMAN}\N{ZERO WIDTH JOINER}\N{PERSONAL COMPUTER}",
    "e\N{COMBINING ACUTE ACCENT}t\N{COMBINING DIAERESIS} Größe ąę «»",
    "心臓 심장 Сердце",
    "\N{HEBREW LETTER LAMED}\N{HEBREW LETTER BET}",
    "x" * 200,
    "$HOME `id` $(id) ; rm -rf *",
    "NaN",
    "001",
]


@pytest.fixture(scope="session")
def hostile() -> list[str]:
    """Names that mean something to a browser, a typesetter, a template, a spreadsheet or a shell;
    they are allowed, and are to be read as they are written."""
    return HOSTILE
