"""Download a public data set and unpack it into a data root."""

import argparse
from pathlib import Path

from cardiouq.data.fetch.download import fetch
from cardiouq.data.fetch.sources import read_sources
from cardiouq.errors import CardiouqError, reported_to_user
from cardiouq.logs import log_to

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--dataset", required=True, help="as the table of sources names it")
parser.add_argument("--root", required=True, type=Path, help="a folder that is not there yet")
parser.add_argument("--sources", required=True, type=Path, help="config/data_sources.csv")
parser.add_argument("--log", required=True, type=Path)
arguments = parser.parse_args()

with reported_to_user(arguments.log):
    log_to(arguments.log, f"fetch {arguments.dataset}")
    if not str(arguments.root).strip("."):
        raise CardiouqError(
            f"no folder is given; say `--config {arguments.dataset}_root=FOLDER`, a folder that is "
            "not there yet"
        )
    sources = read_sources(arguments.sources)
    if arguments.dataset not in sources:
        raise CardiouqError(
            f"{arguments.sources}: no data set {arguments.dataset!r}; expected one of "
            f"{sorted(sources)}"
        )
    fetch(sources[arguments.dataset], arguments.root)
