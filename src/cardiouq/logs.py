"""Logging of a long job, on the terminal and in the rule's log file."""

import io
import logging
import sys
from pathlib import Path


def log_to(path: Path, job: str) -> None:
    """Send the package's messages to the terminal, each with the job's name, and to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    logging.raiseExceptions = False  # a full disk is reported once, not with every line
    logging.basicConfig(
        level=logging.INFO,
        format=f"%(asctime)s  {job}: %(message)s",
        datefmt="%H:%M:%S",
        handlers=[
            logging.StreamHandler(sys.stderr),
            logging.FileHandler(path, mode="a", encoding="utf-8", errors="backslashreplace"),
        ],
    )


def printable(text: str) -> str:
    """Text with `\\u...` for bytes of a file's name that no terminal, log or table takes."""
    return text.encode(errors="backslashreplace").decode()


def escape_unencodable() -> None:
    """Have characters that the locale's encoding lacks printed as `\\u...`, not as an error."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
