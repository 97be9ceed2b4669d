"""The command `cardiouq`: what one asks about studies and their results; `snakemake` runs them.

The docstring of a command is what its `--help` says. Each imports what it needs, so that `--help`
answers at once.
"""

import argparse
import inspect
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from cardiouq.errors import CardiouqError
from cardiouq.logs import escape_unencodable

FAILED = 2
"""Exit status after an error, as argparse has it; 1 says that results differ."""


def status(given: argparse.Namespace) -> int:
    """Print how far a study is, and what remains.

    Shows the study's jobs by kind and state, the rates of those that have begun, errors, the
    device time spent and to come, and when the study will end. It reads files only, so Snakemake
    may be at work meanwhile. Call it in the folder in which Snakemake was started, where the
    results are in `results/<study>`.

    examples:
      cardiouq status demo                  # the study config/studies/demo.yaml
      cardiouq status my_study/mine.yaml    # a study of your own
      cardiouq status zhao2022 --jobs 8     # when it ends if eight jobs run at once
    """
    from cardiouq.device.environment import data_roots
    from cardiouq.files.documents import read_yaml
    from cardiouq.progress.status import status as status_of
    from cardiouq.provenance.record import check_code_of, repository
    from cardiouq.study.study import Study

    check_code_of(Path.cwd())
    config = repository() / "config"
    study = Study(given.study, data_roots(read_yaml(config / "config.yaml")), config)
    print(status_of(study, Path.cwd(), given.jobs, time.time()))
    return 0


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


def parser() -> argparse.ArgumentParser:
    """Build the command line's parser, which sets `run` to the command's function."""
    top = argparse.ArgumentParser(
        prog="cardiouq",
        description="What one asks about studies and their results; `snakemake` runs the studies.",
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
    added.add_argument("--jobs", type=int, default=0, help="at once; by default as many as run now")
    added = add(compare)
    added.add_argument("one", type=Path, metavar="A", help="a provenance.json, or its folder")
    added.add_argument("other", type=Path, metavar="B", help="another's, or an earlier one")
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
    except CardiouqError as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return FAILED


if __name__ == "__main__":
    sys.exit(main())
