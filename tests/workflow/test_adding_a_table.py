"""What docs/adding-a-table.md tells a reader to do, done to the letter."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from cardiouq.files.tables import read_rows
from tests.paths import ROOT

DOCUMENT = ROOT / "docs" / "adding-a-table.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")


def test_table_added_as_the_document_says_is_printed_and_nothing_else_is_done(
    fresh: Any,
    tmp_path: Path,
    copy_repository: Callable[[Path], Path],
    small_study: str,
    code_blocks: Callable[[Path, str], list[str]],
) -> None:
    module, caption, registry = re.findall(r"`((?:src|workflow)/\S+\.(?:py|rst))`", TEXT)
    [target] = re.findall(r"`snakemake --cores all results/demo/(\S+)`", TEXT)
    repository = copy_repository(tmp_path / "repository")
    (tmp_path / "small.yaml").write_text(small_study, encoding="utf-8")
    checkout = replace(fresh, repository=repository, study="small.yaml")
    done = checkout.run("results/small/reporting/tables/ranks.md")
    assert done.returncode == 0, done.stdout

    code, entry = code_blocks(DOCUMENT, "python")
    (repository / module).write_text(code, encoding="utf-8")
    [text] = code_blocks(DOCUMENT, "rst")
    (repository / caption).write_text(text, encoding="utf-8")
    entries = (repository / registry).read_text(encoding="utf-8")
    assert entries.count("\nTABLES = {\n") == 1
    entries = entries.replace("\nTABLES = {\n", f"\nTABLES = {{\n{entry}")
    (repository / registry).write_text(entries, encoding="utf-8")

    assert checkout.plan().jobs["print_agreement"] == 1
    assert checkout.plan(f"results/small/{target}").jobs == {"print_agreement": 1}
    done = checkout.run(f"results/small/{target}")
    assert done.returncode == 0, done.stdout
    printed = (tmp_path / "results/small" / target).read_text(encoding="utf-8")
    assert "agreement of the samples" in printed
    assert "Vanilla" in printed
    rows = read_rows((tmp_path / "results/small" / target).with_suffix(".csv"))
    # its one sample is its segmentation
    assert set(rows["metric"]) == {"dice_within", "pairwise_dice"}
    assert (rows["value"] == 1).all()
