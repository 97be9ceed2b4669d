"""What a study hands out: nothing of the machine that made it, and names that are only names."""

import base64
import getpass
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import yaml

from tests.browser import needs_browser, open_in_browser
from tests.paths import TINY

FoundIn = Callable[[Sequence[Path], set[str]], set[tuple[str, str]]]
SharedFiles = Callable[[Path], list[Path]]
PERSON = "jane.doe"
ADD_CAPTIONS = """
<script>
setTimeout(() => {
  const shown = document.createElement("pre");
  for (const [path, result] of Object.entries(results)) {
    app.showResultInfo(path);
    shown.textContent += document.body.innerText;
    for (const caption of document.querySelectorAll(".prose")) {
      shown.textContent += caption.textContent;
    }
    const page = document.createElement("iframe");
    if (result.mime_type === "text/html") { page.src = result.data_uri; }
    document.body.append(page);
  }
  document.body.append(shown);
}, 500);
</script>
"""
"""As someone who looks at the description of every result, and opens every page."""


@dataclass(frozen=True)
class Finished:
    """A study that was run, Snakemake's report of it, and where its scans are."""

    results: Path
    report: Path
    scans: Path
    study: dict[str, Any]

    def pages(self) -> list[Path]:
        """All that a browser opens but Snakemake's report."""
        pages = (self.results / "reporting").rglob("*.html")
        return sorted([self.results / "report.html", *pages])


def write(
    path: Path, label: Path, seed: int, values: tuple[int, int, int], frames: int = 0
) -> None:
    """A scan of noise with a bright block for each value, and its label."""
    rng = np.random.default_rng(seed)
    shape = (32, 36, 3, frames) if frames else (32, 36, 3)
    voxels = np.zeros(shape, np.uint8)
    for place, value in enumerate(values):
        voxels[6 + 6 * place : 11 + 6 * place, 8:20] = value
    image = (rng.integers(1, 99, shape) + 60 * voxels).astype(np.int16)
    for file, content in ((path, image), (label, voxels)):
        file.parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(content, np.diag([-1.5, -1.5, 8, 1])), file)


def write_acdc(root: Path) -> None:
    for number in (901, 902):
        folder = root / "training" / f"patient{number}"
        for seed, frame in enumerate((1, 9)):
            stem = folder / f"patient{number}_frame{frame:02d}"
            files = (stem.with_name(f"{stem.name}{end}.nii.gz") for end in ("", "_gt"))
            write(*files, number + 1000 * seed, (1, 2, 3))
        (folder / "Info.cfg").write_text("ED: 1\nES: 9\nGroup: NOR\n", encoding="utf-8")


def write_mnms(root: Path) -> None:
    for code in ("Q8Z8X3", "Q9Z9X4"):
        stem = root / "Training" / "Labeled" / code / f"{code}_sa"
        files = (stem.with_name(f"{stem.name}{end}.nii.gz") for end in ("", "_gt"))
        write(*files, int(code[1]), (3, 2, 1), frames=2)
    (root / "211230_M&Ms_Dataset_Information.csv").write_text(
        "External code,Vendor,Centre,ED,ES\nQ8Z8X3,A,1,0,1\nQ9Z9X4,A,1,0,1\n", encoding="utf-8"
    )


def write_ukbb(root: Path) -> None:
    for participant in ("7700771", "7700772"):
        for seed, phase in enumerate(("ED", "ES")):
            files = (root / participant / f"{kind}_{phase}.nii.gz" for kind in ("sa", "label_sa"))
            write(*files, int(participant) + 10 * seed, (3, 2, 1))
    (root / "pseudonym.key").write_text("0123456789abcdef" * 4, encoding="utf-8")


def write_nnunet(root: Path) -> None:
    for number in range(2):
        name = f"annotator7_{number}"
        write(
            root / "imagesTr" / f"{name}_0000.nii.gz",
            root / "labelsTr" / f"{name}.nii.gz",
            50 + number,
            (1, 2, 3),
        )
    labels = {"background": 0, "RV": 1, "MYO": 2, "LV": 3}
    (root / "dataset.json").write_text(json.dumps({"labels": labels}), encoding="utf-8")


def write_csv(root: Path, names: list[str]) -> None:
    """A subject of each name; of pathologies, vendors and a column of the user's a few."""
    root.mkdir()
    heading = ["case", "image", "label", "subject", "pathology", "vendor", names[0]]
    rows = [heading]
    for number, name in enumerate(names):
        image, label = f"Muster_Erika_{number}.nii.gz", f"Muster_Erika_{number}_seg.nii.gz"
        write(root / image, root / label, 70 + number, (1, 2, 3))
        rows.append([f"c{number}", image, label, name, names[number % 3], names[3], names[4]])
    cells = [['"{}"'.format(cell.replace('"', '""')) for cell in row] for row in rows]
    text = "\n".join(",".join(row) for row in cells) + "\n"
    (root / "cases.csv").write_text(text, encoding="utf-8")


def make_study(tiny: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """One run, seven methods and five data sets, all of odd names."""
    labelled = iter(names)
    recipe = tiny["recipes"]["polynomial"]
    recipe["schedule"]["epochs"] = 2
    del tiny["phantom"]
    sources = {layout: f"{layout}_root" for layout in ("acdc", "mnms", "ukbb")}
    datasets = {
        next(labelled): {"layout": layout, "source": sources.get(layout, f"./scans/{layout}")}
        for layout in ("acdc", "mnms", "ukbb", "nnunet", "csv")
    }
    *_, of_nnunet, own = datasets
    datasets[of_nnunet]["subject"] = "^(annotator7_[0-9])"
    datasets[own]["labels"] = {"RV": 1, "MYO": 2, "LV": 3}
    test_sets = {
        f"set-{number}": {"dataset": dataset, "label": next(labelled), "domain": "OOD"}
        for number, dataset in enumerate(datasets)
    }
    test_sets["set-4"] |= {"split": "validation", "domain": "ID"}
    return tiny | {
        "title": f"{names[1]} {names[12]} {names[14]}",
        "datasets": datasets,
        "split": {"dataset": own, "validation_fraction": 0.2},
        "recipes": {"polynomial": recipe},
        "methods": {
            f"m{number}": {
                "method": "single",
                "recipe": "polynomial",
                "label": next(labelled),
                "temperature": 1 + number / 10,
            }
            for number in range(7)
        },
        "test_sets": {name: block | {"published": None} for name, block in test_sets.items()},
        "distortions": {"test_set": "set-4", "subjects": 1, "kinds": {"noise": [0.1]}},
        "reporting": tiny["reporting"] | {"published": None},
    }


@pytest.fixture(scope="module")
def study(
    tmp_path_factory: pytest.TempPathFactory, repository: Path, hostile: list[str]
) -> Finished:
    home = tmp_path_factory.mktemp("shared") / PERSON
    scans = home / "scans"
    for name, make in (("acdc", write_acdc), ("mnms", write_mnms), ("ukbb", write_ukbb)):
        make(scans / name)
    write_nnunet(scans / "nnunet")
    write_csv(scans / "csv", hostile)
    text = TINY.read_text(encoding="utf-8")
    settings = make_study(json.loads(json.dumps(yaml.safe_load(text))), hostile)
    (home / "odd.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    report = home / "report.html"
    variables = {k: v for k, v in os.environ.items() if not k.startswith("CARDIOUQ_")}
    variables |= {"OMP_NUM_THREADS": "1", "HOME": str(home), "USER": PERSON, "LOGNAME": PERSON}
    roots = [f"{layout}_root={scans / layout}" for layout in ("acdc", "mnms", "ukbb")]
    command = ["python", "-m", "snakemake", "--cores", "2", "--snakefile", repository / "Snakefile"]
    command += ["--directory", home / "work"]
    for options in ([], ["--report", report]):
        done = subprocess.run(
            [*command, *options, "--config", f"study={home / 'odd.yaml'}", *roots],
            env=variables | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )
        assert done.returncode == 0, done.stdout[-20000:]
    return Finished(home / "work" / "results" / "odd", report, scans, settings)


def test_nothing_of_the_machine_is_in_what_is_shared(
    study: Finished, repository: Path, found_in: FoundIn, shared_files: SharedFiles
) -> None:
    home = study.scans.parent
    secrets = {str(home), PERSON, str(repository), str(Path.home()), socket.gethostname()}
    secrets |= {f"/{getpass.getuser()}/", "/tmp/", "/home/"}
    secrets |= {path.name for path in study.scans.rglob("*.nii.gz")}
    secrets |= {path.name for path in study.scans.rglob("*.csv") if path.name != "cases.csv"}
    secrets |= {"7700771", "7700772"}
    assert len(secrets) > 60
    files = [study.report, *shared_files(study.results)]
    assert {path.suffix for path in files} >= {".html", ".json", ".csv", ".tex", ".png", ".pdf"}
    assert not found_in(files, secrets)


def test_search_finds_what_is_hidden(tmp_path: Path, found_in: FoundIn) -> None:
    """In a page in the report, in a PDF's stream."""
    inner = base64.b64encode(b"<p>/home/jane on pc</p>").decode()
    page = base64.b64encode(f'<img src="data:text/html;base64,{inner}">'.encode()).decode()
    report = f'var results = {{"data_uri": "data:text/html;base64,{page}"}};'.encode()
    pdf = b"1 0 obj\nstream\n" + zlib.compress(b"(/home/jane on pc) Tj") + b"\nendstream"
    for name, content in (("report.html", report), ("figure.pdf", pdf)):
        assert b"/home/jane" not in content
        (tmp_path / name).write_bytes(content)
        secrets = {"/home/jane", "pc", "/home/joe", "ho"}
        assert found_in([tmp_path / name], secrets) == {(name, "/home/jane"), (name, "pc")}


def title_of(document: str) -> str:
    [title] = re.findall("<title>(.*?)</title>", document, re.DOTALL)[:1]
    return unescape(title)


def text_of(document: str) -> str:
    """What is read, with one space for any."""
    return " ".join(unescape(re.sub("<[^>]*>", " ", document)).split())


def read(name: str) -> str:
    return " ".join(name.split())


@needs_browser
def test_page_runs_nothing_and_its_names_read_as_written(
    study: Finished, hostile: list[str], tmp_path: Path
) -> None:
    labels = [block["label"] for block in study.study["methods"].values()]
    documents = {page.name: open_in_browser(page, tmp_path / page.stem) for page in study.pages()}
    assert [name for name, document in documents.items() if title_of(document) == "ran"] == []
    read_on = {name: text_of(document) for name, document in documents.items()}
    assert all(read(name) in read_on["data.html"] for name in hostile)
    assert all(read(study.study["title"]) in text for text in read_on.values())
    for name in (
        "report.html",
        "segmentation.html",
        "cost.html",
        "quality_control.html",
        "ranks.html",
    ):
        assert all(read(label) in read_on[name] for label in labels), name


@needs_browser
def test_report_of_snakemake_s_runs_nothing_and_its_captions_read_as_written(
    study: Finished, tmp_path: Path
) -> None:
    whole = study.report.read_text(encoding="utf-8")
    before, _, after = whole.rpartition("</body>")
    (tmp_path / "report.html").write_text(
        before + ADD_CAPTIONS + "</body>" + after, encoding="utf-8"
    )
    document = open_in_browser(tmp_path / "report.html", tmp_path / "profile")
    assert title_of(document) == "Snakemake Report"
    text = text_of(document)
    assert read(study.study["title"]) in text
    for block in study.study["test_sets"].values():
        assert read(block["label"]) in text
    assert "odd : uncertainty of cardiac MRI" in text.replace("odd:", "odd :")


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="needs LaTeX")
@pytest.mark.parametrize("engine", ["pdflatex", "lualatex"])
def test_latex_compiles(study: Finished, tmp_path: Path, engine: str) -> None:
    if not shutil.which(engine):
        pytest.skip(f"needs {engine}")
    tables = sorted((study.results / "reporting").rglob("*.tex"))
    packages = r"\usepackage{booktabs}\usepackage{xcolor}\usepackage{longtable}"
    if engine == "pdflatex":
        packages += r"\usepackage[T1]{fontenc}"
    body = "\n".join(f"\\input{{{path}}}\n\\clearpage" for path in tables)
    (tmp_path / "all.tex").write_text(
        f"\\documentclass{{article}}{packages}\\begin{{document}}\n{body}\n\\end{{document}}\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [engine, "-interaction=nonstopmode", "-halt-on-error", "all.tex"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    assert done.returncode == 0, done.stdout[-3000:]
