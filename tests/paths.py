"""Places in the repository, for tests that need them before a fixture can be had."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "config"
TINY = ROOT / "tests" / "workflow" / "tiny.yaml"
"""The study that takes a minute."""
LOCAL_CONFIG = {"study": "tiny", "acdc_root": "", "mnms_root": "", "ukbb_root": "", "device": "cpu"}
"""The keys of `config.yaml` of a machine without scans."""
