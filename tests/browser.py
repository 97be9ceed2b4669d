"""A browser without a window, which opens a page from disk and runs its scripts."""

import shutil
import subprocess
from pathlib import Path

import pytest

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SETTLED = ["--virtual-time-budget=20000", "--dump-dom"]

needs_browser = pytest.mark.skipif(not BROWSER, reason="needs chromium")


def open_in_browser(page: Path, profile: Path) -> str:
    """The document as it is after all scripts have run."""
    assert BROWSER
    done = subprocess.run(
        [BROWSER, *QUIET, *SETTLED, f"--user-data-dir={profile}", page.as_uri()],
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    assert "</html>" in done.stdout, done.stderr
    return done.stdout


def run_in_page(page: str, script: str, folder: Path) -> str:
    """What a script writes into the last element of a page, as JSON, say; its `tell(text)`."""
    told = '<pre id="told"></pre><script>const tell = (text) => { told.textContent += text; };'
    with_script = page.replace("</body>", f"{told}{script}</script></body>")
    (folder / "page.html").write_text(with_script, encoding="utf-8")
    document = open_in_browser(folder / "page.html", folder / "profile")
    return document.split('<pre id="told">')[1].split("</pre>")[0]
