"""The tables of config/README.md are those of the schemas."""

from pathlib import Path

import pytest

from cardiouq.study.readme import with_tables


@pytest.fixture
def page(repository: Path) -> str:
    return (repository / "config" / "README.md").read_text(encoding="utf-8")


def test_committed_tables_are_those_of_the_schemas(page: str) -> None:
    assert page.count("<!-- settings of ") == page.count("<!-- end of settings -->") == 7
    assert with_tables(page) == page, "run `make settings`"


@pytest.mark.parametrize(
    ("key", "value", "default"),
    [
        ("seed", "integer from 0", "required"),
        ("plan.patch_size", "2 integers from 8 or `null`", "required"),
        ("plan.crop", "2 integers from 8", ""),
        ("split.validation_fraction", "number above 0 to below 1", "required"),
        ("optimiser.nesterov", "`true` or `false`", "`true`"),
        ("schedule.name", "`polynomial`, `step` or `cyclical`", "required"),
        ("selection", "`validation_nll`", ""),
        ("augmentation.intensities", "`true`, `false` or `nnunet_code`", "`true`"),
        ("structures", "texts", '`["RV", "MYO", "LV"]`'),
        ("test_sets.<name>.part", "text or texts", "`training`"),
        ("test_sets.<name>.published", "text or `null`", "required"),
        ("single.temperature", "number above 0 or `fitted`", "`1.0`"),
        ("single.folds", "integer from 2", ""),
        ("test_time_augmentation.scale", "2 numbers above 0", "`[0.9, 1.1]`"),
        ("hmc.temperature", "number from 0", "`0.01`"),
        ("hmc", "", ""),
    ],
)
def test_row_says_what_a_setting_may_be_and_what_it_is_unless_set(
    page: str, key: str, value: str, default: str
) -> None:
    [row] = [line for line in page.splitlines() if line.startswith(f"| `{key}` |")]
    assert row.endswith(f" | {value} | {default} |")


@pytest.mark.parametrize("change", ["| `seed` |", "integer from 5", "text or `null`", "has none"])
def test_table_that_was_changed_by_hand_is_made_anew(page: str, change: str) -> None:
    changed = page.replace(change, "other")
    assert changed != page
    assert with_tables(changed) == page


def test_prose_around_the_tables_stays(page: str) -> None:
    changed = f"Before.\n\n{page}\nAfter.\n"
    assert with_tables(changed) == changed
