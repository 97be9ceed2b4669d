"""Rule train: one run, resumed where an interrupted one stopped."""

import argparse
import json
from pathlib import Path

from cardiouq.data.case_table import read_case_table
from cardiouq.data.fingerprint import fingerprint_of
from cardiouq.data.plan import Plan
from cardiouq.data.split import cases_of, hold_out, read_split
from cardiouq.device.choose import choose_device
from cardiouq.errors import reported_to_user
from cardiouq.logs import log_to
from cardiouq.methods.base import Member
from cardiouq.training.run import Run
from cardiouq.training.train import train

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--settings", required=True, type=json.loads, help="JSON of the run")
for name in ("arrays", "cases", "split", "plan", "log", "output"):
    parser.add_argument(f"--{name}", required=True, type=Path)
arguments = parser.parse_args()

with reported_to_user(arguments.log):
    settings = arguments.settings
    log_to(arguments.log, f"{settings['recipe_name']} seed {settings['member']}")
    member = Member.parse(settings["member"])
    cases = read_case_table(arguments.cases)
    split = read_split(arguments.split)
    split = hold_out(cases, split, member.fold, member.folds, settings["seed"])
    plan = Plan.read(arguments.plan)
    run = Run(
        **settings | {"member": member},
        plan=plan,
        arrays=arguments.arrays,
        train_cases=tuple(cases_of(cases, split, "train")["case"]),
        validation_cases=tuple(cases_of(cases, split, "validation")["case"]),
        fingerprint=fingerprint_of(cases, split, plan, settings["recipe"]),
    )
    train(run, arguments.output, choose_device())
