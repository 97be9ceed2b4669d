"""Rule predict: one method on all of its test sets."""

import argparse
import json
from functools import partial
from itertools import chain
from pathlib import Path

import torch

from cardiouq.data.case_table import read_case_table
from cardiouq.data.fingerprint import earlier_fingerprint_of, fingerprint_of
from cardiouq.data.plan import Plan
from cardiouq.data.split import cases_of, hold_out, read_split, read_test_sets
from cardiouq.device.choose import choose_device
from cardiouq.errors import ProblemsError, reported_to_user
from cardiouq.logs import log_to
from cardiouq.methods import build_method
from cardiouq.methods.base import BaseMethod, Member, PretrainedMethod, Sampler
from cardiouq.prediction.predict import predict
from cardiouq.prediction.predictor import Predictor
from cardiouq.prediction.runs import HeldOut, RunOnDisk
from cardiouq.prediction.sampler import RunSampler, images_in
from cardiouq.recipes.schedule import build_schedule

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--settings", required=True, type=json.loads, help="JSON of the prediction")
parser.add_argument("--runs", required=True, type=Path, nargs="*", help="`trained` of each")
for name in ("arrays", "cases", "test-sets"):
    parser.add_argument(f"--{name}", required=True, type=Path, nargs="+", help="own, distorted")
for name in ("split", "plan", "log", "output"):
    parser.add_argument(f"--{name}", required=True, type=Path)
arguments = parser.parse_args()


def sampler_of_runs(method: BaseMethod, device: torch.device) -> Sampler:
    """The method with the runs of its recipe."""
    settings = arguments.settings
    # nothing is trained or fitted on distorted scans
    cases, split = read_case_table(arguments.cases[0]), read_split(arguments.split)
    plan = Plan.read(arguments.plan)
    mirrors = settings.get("mirroring", False)
    predictor = Predictor(plan, settings["tile_overlap"], device, mirrors=mirrors)
    runs = []
    members = [Member.parse(text) for text in settings["members"]]
    for path, member in zip(arguments.runs, members, strict=True):
        seen = hold_out(cases, split, member.fold, member.folds, settings["seed"])
        held_out = tuple(cases_of(cases, seen, "validation")["case"])
        fingerprint = fingerprint_of(cases, seen, plan, settings["recipe"])
        runs.append(
            RunOnDisk(
                path.parent,
                settings["recipe"],
                member,
                plan,
                fingerprint,
                device,
                HeldOut(held_out, arguments.arrays[0], predictor),
                partial(earlier_fingerprint_of, cases, seen, plan),
            )
        )
    schedule = build_schedule(settings["recipe"]["schedule"])
    return RunSampler(method, runs, schedule, predictor, images_in(arguments.arrays))


with reported_to_user(arguments.log):
    log_to(arguments.log, arguments.settings["name"])
    method = build_method(arguments.settings["method"])
    device = choose_device()
    test_sets = read_test_sets(arguments.test_sets, read_case_table(*arguments.cases))
    if isinstance(method, PretrainedMethod):
        if problems := method.case_problems(chain(*test_sets.values())):
            raise ProblemsError(f"{method.folder}: {len(problems)} case(s) are wrong:", problems)
        sampler = method.sampler(device)
    else:
        sampler = sampler_of_runs(method, device)
    asked = arguments.settings | {"runs": [str(path.parent) for path in arguments.runs]}
    predict(sampler, test_sets, arguments.settings["sampling_seed"], arguments.output, asked)
