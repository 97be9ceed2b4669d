"""A run grows in a side folder, which becomes the run's own."""

from pathlib import Path

from cardiouq.files.writing import HASHES_FILE
from cardiouq.training.run_folder import SideFolder


def test_run_takes_over_nothing_that_kills_left_behind(tmp_path: Path) -> None:
    """Amid a write, and while the side folder was removed."""
    output, done = tmp_path / "seed-0", tmp_path / ".seed-0.done"
    side = SideFolder(output, {})
    (side.products / "checkpoints" / ".partial-1-epoch-0001.safetensors").write_bytes(b"half")
    (done / "products").mkdir(parents=True)
    side.finish()
    assert {path.name for path in tmp_path.iterdir()} == {"seed-0"}
    assert {path.name for path in output.rglob("*")} == {"run.json", HASHES_FILE}
