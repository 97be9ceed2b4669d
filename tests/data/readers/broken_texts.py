"""Texts that say which cases there are, and do not: JSON, tables, `Info.cfg`, keys."""

import gzip
import os
import re
import shutil
from collections.abc import Mapping
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from cardiouq.data.readers.layouts import MNMS_COLUMNS
from tests.data.readers.broken_files import NO_FILES, put
from tests.data.readers.broken_inputs import (
    CSV_COLUMNS,
    CSV_FILES,
    LABELS,
    LAYOUTS,
    RIGHT,
    Kinds,
    Site,
    change_table,
    json_of,
    register,
    table_of,
)

KINDS: Kinds = []
kind = partial(register, KINDS)

TABLES = ("mnms", "csv")
INFO = "ED: 1\nES: 9\nGroup: NOR\n"
NO_INDICES = ("-1", "1.0", "x", "²", "٣", "1e1", "nan", "1 1", "9" * 5000)
NO_VALUES = ("3", 3.0, None, True, -3, 256, 0, 1, [], {}, [[3]], ["MYO"], [0] * 10**6, 10**4000)


@kind("no text", [b"", b"\n\n", b"\xff\xfe", b"\xff\xfe\0", bytes(100)], LAYOUTS[:2] + LAYOUTS[3:])
@kind("no csv", [b"sep=,\n", b"{}", b"," * 100_000, b"," * 4_000_000, b"a" * 300_000], TABLES)
@kind("no csv", [gzip.compress(b"image,label,subject"), b"image;label\n" * 300_000], TABLES)
@kind("no Info.cfg", [INFO.encode("utf-16-le"), b"ED: 1\0\nES: 9\n", b"ED: 1" * 300_000], ["acdc"])
@kind("no Info.cfg", [b"ED: 1\n", b"ED=1\nES=9\n", b"ED: \nES: \n"], ["acdc"])
@kind("no Info.cfg", [f"ED: {frame}\nES: {frame}\n".encode() for frame in NO_INDICES], ["acdc"])
@kind("no dataset.json", [b'{"labels": {"RV": 1', b"[" * 100_000, b'{"a":' * 100_000], ["nnunet"])
@kind("no dataset.json", [b"[]", b"7", b"null", b'"labels"', b"{}"], ["nnunet"])
@kind("no dataset.json", [json_of(labels=labels) for labels in ([], "RV", {}, None)], ["nnunet"])
@kind(
    "no dataset.json", [json_of(file_ending=end) for end in (".png", None, 7, "", [])], ["nnunet"]
)
@kind(
    "labels of dataset.json",
    [json_of(labels=LABELS | {"LV": value}) for value in NO_VALUES],
    ["nnunet"],
)
@kind(
    "labels of dataset.json",
    [json_of(labels={name: "RV", "2": "MYO", "3": "LV"}) for name in ("²", "-1", "9" * 5000)],
    ["nnunet"],
)
@kind(
    "labels of dataset.json",
    [b'{"labels": {"LV": %s}}' % number for number in (b"9" * 5000, b"1e400", b"NaN", b"1")],
    ["nnunet"],
)
@kind("key of UK Biobank", [b"", b"short", b"\0" * 31, b" " * 99], ["ukbb"])
def wrong_text(site: Site, content: bytes) -> Path:
    site.table.write_bytes(content)
    return site.table


@kind("Info.cfg as it comes", [INFO.encode(code) for code in ("utf-8-sig", "utf-16")], ["acdc"])
@kind(
    "Info.cfg as it comes",
    [INFO.replace("\n", end).encode() for end in ("\r\n", "\r", "\n\n", " \nGröße:\n")],
    ["acdc"],
)
@kind("dataset.json as it comes", [b"\xef\xbb\xbf" + json_of(), json_of(a="ß")], ["nnunet"])
@kind(
    "dataset.json as it comes",
    [json_of(a="ß").decode().encode(code) for code in ("utf-16", "latin-1")],
    ["nnunet"],
)
@kind(
    "dataset.json as it comes",
    [
        json_of(labels={str(value): name for name, value in LABELS.items()}),
        json_of(labels={name: [value] for name, value in LABELS.items()}),
        json_of(labels=LABELS | {"ignore": 9}),
    ],
    ["nnunet"],
)
def other_text(site: Site, content: bytes) -> None:
    site.table.write_bytes(content)


@kind("random text", layouts=["acdc", "mnms", "nnunet", "csv"], times=4)
def random_text(site: Site) -> Path:
    return wrong_text(site, site.rng.bytes(site.rng.integers(1, 5000)))


@kind("text with a zero byte", layouts=["acdc", "mnms", "nnunet", "csv"], times=2)
def zero_byte(site: Site) -> Path:
    content = bytearray(site.table.read_bytes())
    content[site.rng.integers(len(content))] = 0
    return wrong_text(site, content)


@kind("text of 8 GiB", layouts=["acdc", "mnms", "nnunet", "csv"])
def huge_text(site: Site) -> Path:
    os.truncate(site.table, 2**33)
    return site.table


@kind("Info.cfg of another frame", [99, 999_999_999], ["acdc"])
def info_of_another_frame(site: Site, frame: int) -> Path:
    site.table.write_text(f"ED: {frame}\nES: 9\n", encoding="utf-8")
    return site.image.with_name(site.image.name.replace("01.nii", f"{frame}.nii"))


ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "latin-1", "cp1252")
FORMATS = {
    "Windows' line ends": ("\n", "\r\n"),
    "old Mac's line ends": ("\n", "\r"),
    "empty lines": ("\n", "\n\n ,,\n"),
    "every cell quoted": (r"([^,\n]+)", r'"\1"'),
    "spaces around cells": (",", " , "),
    "a line break in cells": ("\n", ',"a\nb"\n'),
    "no end of the last line": (r"\n\Z", ""),
    "rows shorter than the heading": (r"\A(.*)", r"\1,more"),
}


@kind("csv as it comes", product(ENCODINGS, ",;\t"), TABLES)
def encoded(site: Site, given: tuple[str, str]) -> None:
    encoding, separator = given
    table = table_of(site).assign(note="Zürich, ½")
    table.to_csv(site.table, sep=separator, encoding=encoding, index=False)


@kind("csv as it comes", list(FORMATS.values()), TABLES)
def formatted(site: Site, change: tuple[str, str]) -> None:
    site.table.write_bytes(re.sub(*change, site.table.read_text(encoding="utf-8")).encode())


@kind("csv in a strange encoding", ["utf-16-le", "utf-16-be", "utf-32", "cp500"], TABLES)
def encoded_strangely(site: Site, encoding: str) -> Path:
    return wrong_text(site, site.table.read_text(encoding="utf-8").encode(encoding))


@kind("csv's heading", ["missing", "twice"], TABLES, times=2)
def broken_heading(site: Site, how: str) -> Path:
    table = table_of(site)
    column = str(site.rng.choice(MNMS_COLUMNS if site.layout == "mnms" else CSV_COLUMNS))
    if how == "missing":
        table = table.drop(columns=column)
    else:
        table.insert(0, column, "x", allow_duplicates=True)
    table.to_csv(site.table, index=False)
    return site.table


@kind("csv's rows: none", layouts=TABLES)
def only_heading(site: Site) -> Path:
    table_of(site)[:0].to_csv(site.table, index=False)
    return site.table if site.layout == "mnms" else site.root


ROWS = {"again": "{}", "too long": "x{},,,x,,x", "open quote": '"{}', "huge cell": "x" * 200_000}


@kind("csv's rows: broken", list(ROWS.values()), TABLES)
def broken_row(site: Site, added: str) -> Path:
    text = site.table.read_text(encoding="utf-8")
    return wrong_text(site, f"{text}{added.format(text.splitlines()[1])}\n".encode())


@kind("frame", ["", *NO_INDICES], ["mnms"])
def no_frames(site: Site, frame: str) -> Path:
    change_table(site, slice(None), ["ED", "ES"], frame)
    return site.table


@kind("frame", ["4", "999999999"], ["mnms"])
def frames_too_large(site: Site, frame: str) -> Path:
    no_frames(site, frame)
    return site.image


@kind("frame", NO_INDICES, ["csv"])
def no_frame(site: Site, frame: str) -> Path:
    change_table(site, 0, "frame", frame)
    return site.table


@kind("frame", [(0, "0"), (1, ""), (1, "4"), (1, "999999999")], ["csv"])
def other_frame(site: Site, given: tuple[int, str]) -> Path:
    row, frame = given
    change_table(site, row, "frame", frame)
    return site.root / CSV_FILES[2 * row]


OWN_COLUMNS = ("split", "test_set", "method", "dataset", "image_hash", "spacing_x", "structure")


@kind("column of the program's own", OWN_COLUMNS, ["csv"])
def reserved_column(site: Site, name: str) -> Path:
    table_of(site).assign(**{name: "x"}).to_csv(site.table, index=False)
    return site.table


@kind("column of any other name", ["side", "index", "count", "Index", "class", "a b", "1"], ["csv"])
def own_column(site: Site, name: str) -> None:
    table_of(site).assign(**{name: "x"}).to_csv(site.table, index=False)


@kind("part in another spelling", ["Training", "TRAINING", "trainIng"], ["csv"])
def other_part(site: Site, part: str) -> Path:
    table_of(site).assign(part=["", part]).to_csv(site.table, index=False)
    return site.table


@kind("part that is not used", ["holdout", "NA", "0"], ["csv"])
def unused_part(site: Site, part: str) -> None:
    table_of(site).assign(part=["", part]).to_csv(site.table, index=False)
    del site.expected["b"]


SAME_SUBJECT = {"subject": "s1", "phase": "ED"}


@kind("two visits", [{}, {"visit": "v1"}, {"visit": ""}, {"session": ["1", "2"]}], ["csv"])
def two_visits(site: Site, columns: Mapping[str, Any]) -> Path:
    table_of(site).assign(**SAME_SUBJECT, **columns).to_csv(site.table, index=False)
    return site.root


@kind("two visits, told apart", ["visit", "session", "rater", "view"], ["csv"])
def visits_told_apart(site: Site, column: str) -> None:
    site.options["visit"] = "" if column == "visit" else column
    table = table_of(site).assign(**SAME_SUBJECT, **{column: ["NA", "2"]})
    table.to_csv(site.table, index=False)


@kind("two visits, told apart", layouts=["csv"])
def no_column_of_visits(site: Site) -> Path:
    site.options["visit"] = "session"
    return site.table


def listed(site: Site, **entries: Any) -> dict[str, Any]:
    """nnU-Net's cases where they are, in the description; its folders are renamed."""
    for kind_of in ("images", "labels"):
        (site.root / f"{kind_of}Tr").rename(site.root / kind_of)
    files = {
        f"patient001_{phase}": {
            "images": [f"images/patient001_{phase}_0000.nii.gz"],
            "label": f"labels/patient001_{phase}.nii.gz",
        }
        for phase in ("ED", "ES")
    }
    return files | entries


@kind("cases listed by nnU-Net", layouts=["nnunet"])
def listed_cases(site: Site) -> None:
    site.table.write_bytes(json_of(dataset=listed(site)))


@kind("cases listed by nnU-Net", [[], {"a": {}}, {"a": {"images": [], "label": "x"}}], ["nnunet"])
@kind("cases listed by nnU-Net", ["x", {"a": None}, {"a": {"images": [3]}}], ["nnunet"])
def listed_badly(site: Site, dataset: Any) -> Path:
    return wrong_text(site, json_of(dataset=dataset))


@kind("path", ["{outside}/scan.nii.gz", "../{outside.name}/scan.nii.gz"], ["csv"])
@kind("path", ["link/scan.nii.gz", ".//./scan_image.nii.gz"], ["csv"])
def path_elsewhere(site: Site, path: str) -> None:
    outside = site.root.with_name(f"{site.root.name} outside")
    outside.mkdir()
    shutil.copy(site.image, outside / "scan.nii.gz")
    (site.root / "link").symlink_to(outside)
    change_table(site, 0, "image", path.format(outside=outside))


@kind("path", ["nowhere.nii.gz", "/", ".", "..", "x" * 5000 + ".nii.gz", "a/" * 3000], ["csv"])
def path_to_nothing(site: Site, path: str) -> Path:
    change_table(site, 0, "label", path)
    return site.root / path


@kind("path", product(["", " "], CSV_COLUMNS), ["csv"])
def no_path(site: Site, given: tuple[str, str]) -> Path:
    change_table(site, 0, given[1], given[0])
    return site.table


NAMES = ("a/b", "../a", "..", "a b", "-a", ".a", "a" * 101, "a\tb", "ä", "a:b", "a*", "a\nb")


@kind("name of a case", NAMES, ["csv"])
def case_name(site: Site, name: str) -> Path:
    change_table(site, 0, "case", name)
    return site.root


@kind("name of a case", ["patient 1", "patient*", "patientä", "patient\n1"], ["acdc"])
def folder_name(site: Site, name: str) -> Path:
    site.image.parent.rename(site.image.parent.with_name(name))
    return site.root


@kind("name of a case", layouts=["acdc", "mnms", "ukbb"])
def folder_name_of_bytes(site: Site) -> Path:
    """No UTF-8, as on an old disk."""
    folder = site.image.parent
    shutil.copytree(folder, folder.with_name(os.fsdecode(b"patient\xe4")))
    return site.table if site.layout == "mnms" else site.root


@kind("subject that cannot be told", ["", "^(x)", "^(patient", "^patient", "(a)?"], ["nnunet"])
def no_subject(site: Site, pattern: str) -> Path:
    site.options["subject"] = pattern
    return site.root


NNUNET_TABLES = (
    "\n",
    "\0\1\2",
    "name,subject\npatient001_ED,a\npatient001_ES,a\n",
    "case,subject\npatient001_ED,a\npatient001_ES,\n",
    "case,subject\npatient001_ED,a\npatient001_ES,a\npatient001_ED,b\n",
)


@kind("cases.csv of nnU-Net", NNUNET_TABLES, ["nnunet"])
def nnunet_table(site: Site, text: str) -> Path:
    (site.root / "cases.csv").write_text(text, encoding="utf-8")
    return site.root / "cases.csv"


@kind("cases.csv of nnU-Net", NO_FILES[1:], ["nnunet"])
def no_nnunet_table(site: Site, what: str) -> Path:
    put(what, nnunet_table(site, ""))
    return site.root / "cases.csv"


@kind("cases.csv of nnU-Net", ["patient001_ED", "same"], ["nnunet"])
def nnunet_names(site: Site, name: str) -> Path | None:
    rows = f"patient001_ED,a,{name}\npatient001_ES,a,same\nnobody,a,same\n"
    nnunet_table(site, f"case,subject,name\n{rows}")
    if name == "same":
        return site.image.with_name(site.image.name.replace("_ED", "_ES"))
    site.expected["same"] = site.expected.pop("patient001_ES")
    return RIGHT
