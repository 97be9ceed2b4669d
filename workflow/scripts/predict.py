"""Rule predict: one method on all of its test sets."""

import argparse
import json
from pathlib import Path

from cardiouq.data.cases import read_case_table
from cardiouq.data.fingerprint import fingerprint_of
from cardiouq.data.plan import Plan
from cardiouq.data.split import read_split, read_test_sets
from cardiouq.errors import reported_to_user
from cardiouq.logs import log_to
from cardiouq.methods import build_method
from cardiouq.prediction.predict import Predictor, predict
from cardiouq.prediction.runs import RunOnDisk
from cardiouq.training.device import choose_device
from cardiouq.training.schedule import build_schedule

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--settings", required=True, type=json.loads, help="JSON of the prediction")
parser.add_argument("--runs", required=True, type=Path, nargs="+", help="run.json of each")
for name in ("arrays", "cases", "split", "test-sets", "plan", "log", "output"):
    parser.add_argument(f"--{name}", required=True, type=Path)
arguments = parser.parse_args()

with reported_to_user(arguments.log):
    settings = arguments.settings
    log_to(arguments.log, settings["name"])
    cases, split = read_case_table(arguments.cases), read_split(arguments.split)
    plan = Plan.from_json(arguments.plan.read_text())
    device = choose_device()
    fingerprint = fingerprint_of(cases, split, plan)
    predict(
        method=build_method(settings["method"]),
        runs=[RunOnDisk(path.parent, plan, fingerprint, device) for path in arguments.runs],
        schedule=build_schedule(settings["schedule"]),
        test_sets=read_test_sets(arguments.test_sets, cases),
        arrays=arguments.arrays,
        predictor=Predictor(plan, settings["tile_overlap"], device),
        seed=settings["seed"],
        output=arguments.output,
    )
