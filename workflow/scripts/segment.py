"""Rule segment: one scan of one's own."""

import argparse
import logging
from pathlib import Path

from cardiouq.apply.apply import findings_of
from cardiouq.apply.model_folder import read_model, structures_of
from cardiouq.apply.segment import Segmenter
from cardiouq.device.choose import choose_device
from cardiouq.device.environment import restart_with
from cardiouq.errors import reported_to_user
from cardiouq.logs import log_to

parser = argparse.ArgumentParser(description=__doc__)
for name in ("model", "scan", "output", "log"):
    parser.add_argument(f"--{name}", required=True, type=Path)
parser.add_argument("--name", required=True, help="of the scan's results")
given = parser.parse_args()

with reported_to_user(given.log):
    log_to(given.log, given.name)
    restart_with(structures_of(given.model))
    segmenter = Segmenter(read_model(given.model), choose_device)
    findings = findings_of(segmenter, given.name, given.scan, given.output)
    if "error" in findings:  # it stops no other scan
        logging.getLogger("cardiouq").error(findings["error"])
