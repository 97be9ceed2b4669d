"""The command `cardiouq`: it tells of studies, and uses what they trained; `snakemake` runs them.

The docstring of a command is what its `--help` says. Each imports what it needs, so that `--help`
answers at once.
"""

import argparse
import inspect
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cardiouq.errors import user_message
from cardiouq.logs import escape_unencodable

if TYPE_CHECKING:
    from cardiouq.study.study import Study

FAILED = 2
"""Exit status after an error, as argparse has it; 1 says that results differ, or that scans could
not be segmented."""
STOPPED = 130
"""Exit status after Ctrl-C, as shells have it."""


def status(given: argparse.Namespace) -> int:
    """Print how far a study is, and what remains.

    Shows the study's jobs by kind and state, the rates of those that have begun, errors, the
    device time spent and to come, and when the study will end. It reads files only, so Snakemake
    may be at work meanwhile. Call it in the folder in which Snakemake was started, where the
    results are in `results/<study>`.

    examples:
      cardiouq status demo                    # the study config/studies/demo.yaml
      cardiouq status my_study/mine.yaml      # a study of your own
      cardiouq status zhao2022 --jobs 8       # when it ends if eight jobs run at once
      cardiouq status zhao2022 --device cuda  # if Snakemake was told `--config device=cuda`
    """
    from cardiouq.progress.status import status as status_of

    device = {"device": given.device} if given.device else {}
    print(status_of(_study(given.study, **device), Path.cwd(), given.jobs, time.time()))
    return 0


def _study(name: str, **told: str) -> "Study":
    """A study whose results are below this folder, with `told` in place of keys of config.yaml."""
    from cardiouq.device.environment import data_roots
    from cardiouq.files.documents import read_yaml
    from cardiouq.provenance.record import check_code_of, repository
    from cardiouq.study.study import Study

    check_code_of(Path.cwd())
    config = repository() / "config"
    return Study(name, data_roots({**read_yaml(config / "config.yaml"), **told}), config)


def compare(given: argparse.Namespace) -> int:
    """Print whether two results come from the same state.

    Names all that differs between two studies' provenance: files of the code, keys of the study,
    data, packages, devices, and then the results themselves. The last line is the conclusion. The
    exit status is 0 if state and results are the same, 1 if something differs, 2 after an error.

    examples:
      cardiouq compare results/demo elsewhere/results/demo
      cardiouq compare before.json after.json && echo "nothing has changed"
    """
    from cardiouq.provenance.compare import comparison, differences, read_provenance

    one, other = read_provenance(given.one), read_provenance(given.other)
    print("\n".join(comparison(one, other)))
    return int(any(differences(one, other).values()))


def pseudonym(given: argparse.Namespace) -> int:
    """Print which folder of UK Biobank's belongs to a pseudonym.

    Tables, logs and names of files call a participant by a pseudonym. Only who has the data, and
    with them their key, finds the participant's folder.

    examples:
      cardiouq pseudonym /data/ukbb p0123456789ab
    """
    from cardiouq.data.readers.pseudonyms import folder_of

    print(folder_of(given.root, given.pseudonym))
    return 0


def export(given: argparse.Namespace) -> int:
    """Write a method of a finished study to a folder that may be passed on.

    The folder holds weights, plan, settings, what intervals and flags are calibrated on, a hash of
    each file and a card for people. `cardiouq apply` segments scans with it. It is data alone:
    whoever reads it executes nothing. Call it in the folder in which Snakemake was started.

    examples:
      cardiouq export demo deep_ensemble models/demo
    """
    from cardiouq.apply.export import export as export_to
    from cardiouq.device.environment import restart_with

    study = _study(given.study)
    restart_with(study.structures)
    precision = export_to(study, given.method, given.folder)
    print(f"{given.folder}: {given.method} of {study.name}; {given.folder}/README.md is its card")
    print(f"weights are {precision}")
    return 0


def apply(given: argparse.Namespace) -> int:
    """Segment scans with a model, and say which of them to look at.

    The model is a folder that `cardiouq export` wrote, or one that nnU-Net v2 trained into. A scan
    is a NIfTI file with a volume or a whole cine; folders of DICOM are converted by dcm2niix if
    that is installed. Of each there are the segmentation, probabilities and maps of doubt in its
    own geometry; of all of them `subjects.csv`, `results.json` and a page to leaf through,
    `viewer/index.html`, the most doubtful first. A scan that cannot be read is a row that says why;
    the exit status is 1 then. The same command does only what is missing.

    examples:
      cardiouq apply models/demo scans/ out
      cardiouq apply models/demo 'scans/*/*_4d.nii.gz' out --device cpu
      cardiouq apply models/acdc dicom/ out
      cardiouq apply Dataset027_ACDC/nnUNetTrainer__nnUNetPlans__2d scans/ out -f 0 1
    """
    from cardiouq.device.environment import DEVICE_VARIABLE, restart_with

    os.environ[DEVICE_VARIABLE] = given.device

    from tqdm.contrib.logging import logging_redirect_tqdm

    from cardiouq.apply.apply import VIEWER
    from cardiouq.apply.apply import apply as apply_to
    from cardiouq.apply.dicom import as_nifti
    from cardiouq.apply.model_folder import read_model, structures_of
    from cardiouq.apply.scans import find_scans
    from cardiouq.device import gpus
    from cardiouq.device.choose import choose_device
    from cardiouq.reporting.viewer.page import PAGE

    restart_with(structures_of(given.model))
    model = read_model(given.model, given.folds, given.checkpoint)
    scans = find_scans(as_nifti(given.scans, given.out))
    gpus.log.setLevel(logging.INFO)  # whoever waits for one is told so
    with logging_redirect_tqdm():
        wrong = apply_to(model, scans, given.out, choose_device, of_jobs=given.of_jobs)
    for error in wrong:
        print(f"NOT SEGMENTED: {error}", file=sys.stderr)
    done = len(scans) - len(wrong)
    shown = f"{VIEWER}/{PAGE}" if done else "subjects.csv"
    print(f"{done} of {len(scans)} scans: {given.out / shown}")
    return int(bool(wrong))


def _fold(text: str) -> int | str:
    return text if text == "all" else int(text)


def _count(text: str) -> int:
    """A number of things from 1."""
    if not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"{text}; expected 1 or more")
    return int(text)


def _checkpoint(text: str) -> str:
    """The name of a checkpoint, be it given as its file or alone."""
    return text.removeprefix("checkpoint_").removesuffix(".pth")


def parser() -> argparse.ArgumentParser:
    """Build the command line's parser, which sets `run` to the command's function."""
    top = argparse.ArgumentParser(
        prog="cardiouq",
        description="Ask about studies, and use what they trained; `snakemake` runs the studies.",
        epilog="`cardiouq COMMAND --help` explains a command and shows examples.",
    )
    commands = top.add_subparsers(title="commands", dest="command", required=True)

    def add(run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        text, _, examples = inspect.cleandoc(run.__doc__ or "").partition("examples:\n")
        added: argparse.ArgumentParser = commands.add_parser(
            run.__name__,
            help=text.partition("\n")[0].rstrip("."),
            description=text,
            epilog=f"examples:\n{examples}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.set_defaults(run=run)
        return added

    added = add(status)
    added.add_argument("study", metavar="STUDY", help="its name in config/studies, or a YAML file")
    added.add_argument(
        "--jobs",
        type=_count,
        default=0,
        help="at once; by default as many as run now, or as there are cores",
    )
    text = "as Snakemake was told; by default as config.yaml has it"
    added.add_argument("--device", choices=("auto", "cpu", "cuda"), help=text)
    added = add(compare)
    added.add_argument("one", type=Path, metavar="A", help="a provenance.json, or its folder")
    added.add_argument("other", type=Path, metavar="B", help="another's, or an earlier one")
    added = add(export)
    added.add_argument("study", metavar="STUDY", help="its name in config/studies, or a YAML file")
    added.add_argument("method", metavar="METHOD", help="its key in the study")
    added.add_argument("folder", type=Path, metavar="FOLDER", help="to write; a model is replaced")
    added = add(apply)
    text = "folder of `cardiouq export`, or that nnU-Net trained into"
    added.add_argument("model", type=Path, metavar="MODEL", help=text)
    text = "a NIfTI file, a folder of them or of DICOM, or a pattern in quotes"
    added.add_argument("scans", metavar="SCANS", help=text)
    added.add_argument("out", type=Path, metavar="OUT", help="folder for what comes of them")
    added.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="to use")
    text = "of nnU-Net's model, as its own command has them: 0 1 2 or all; by default each number"
    added.add_argument("-f", "--folds", nargs="+", type=_fold, default=[], metavar="N", help=text)
    text = "of nnU-Net's model, as its own command has it: checkpoint_best.pth; by default final"
    added.add_argument("-chk", "--checkpoint", type=_checkpoint, default="final", help=text)
    text = "segment nothing, as Snakemake's jobs have; those without results are rows that say so"
    added.add_argument("--of-jobs", action="store_true", help=text)
    added = add(pseudonym)
    added.add_argument("root", type=Path, metavar="ROOT", help="folder that holds pseudonym.key")
    added.add_argument("pseudonym", metavar="PSEUDONYM", help="`p` and twelve digits")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status."""
    given = parser().parse_args(arguments)
    escape_unencodable()
    try:
        return int(given.run(given))
    except KeyboardInterrupt:
        print("stopped as told; the same command goes on from what is finished", file=sys.stderr)
        return STOPPED
    except Exception as error:
        if not (message := user_message(error)):
            raise
        print(f"ERROR: {message}", file=sys.stderr)
        return FAILED


if __name__ == "__main__":
    sys.exit(main())
