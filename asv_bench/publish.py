"""Makes asv's site of the existing results, together with the scripts that it needs.

asv's pages load scripts and a style sheet from the web, and are blank offline. These are third-party files,
so the repository does not contain them: npm fetches the versions that ``site/package-lock.json`` pins with
their hashes, once, into ``.asv/site``. The pages are then changed to load these.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

from asv.config import Config

HERE = Path(__file__).parent

#: The folder for files that npm fetches.
FETCHED = HERE / ".asv" / "site"

_CDNJS = "https://cdnjs.cloudflare.com/ajax/libs"
_JSDELIVR = "https://cdn.jsdelivr.net/npm"
_ORDER_BARS = "js/jquery.flot.orderBars.js"

#: The files that asv's page loads from the web: the address, and the file that npm fetches. Flot's files are
#: minified on the web and not in npm's package; stupidtable is in npm's package of the next version.
FILES = {
    "https://code.jquery.com/jquery-3.3.1.min.js": "jquery/dist/jquery.min.js",
    f"{_CDNJS}/flot/0.8.3/jquery.flot.min.js": "flot/jquery.flot.js",
    f"{_CDNJS}/flot/0.8.3/jquery.flot.categories.min.js": "flot/jquery.flot.categories.js",
    f"{_CDNJS}/flot/0.8.3/jquery.flot.selection.min.js": "flot/jquery.flot.selection.js",
    f"{_CDNJS}/flot/0.8.3/jquery.flot.time.min.js": "flot/jquery.flot.time.js",
    f"{_JSDELIVR}/flot-orderbars@1.0.0/{_ORDER_BARS}": f"flot-orderbars/{_ORDER_BARS}",
    f"{_CDNJS}/stupidtable/1.0.1/stupidtable.min.js": "stupid-table-plugin/stupidtable.min.js",
    f"{_CDNJS}/blueimp-md5/2.19.0/js/md5.min.js": "blueimp-md5/js/md5.min.js",
    f"{_JSDELIVR}/bootstrap@3.1.1/dist/js/bootstrap.min.js": "bootstrap/dist/js/bootstrap.min.js",
    f"{_JSDELIVR}/bootstrap@3.1.1/dist/css/bootstrap.min.css": "bootstrap/dist/css/bootstrap.min.css",
}

#: The font of the style sheet, which contains the path to it.
FONT = "bootstrap/dist/fonts/glyphicons-halflings-regular.woff"


class PublishError(Exception):
    """The site cannot be made; the message says what to do."""


def publish(config: Path) -> Path:
    """Make the site and return its folder.

    Parameters
    ----------
    config : Path
        asv's configuration, with the folders of the results and of the site.

    Raises
    ------
    PublishError
        If there are no results, asv or npm fails, or a page would still load something from the web.
    """
    loaded = Config.load(str(config))
    results, site = Path(config.parent, loaded.results_dir), Path(config.parent, loaded.html_dir)
    if not (results / "benchmarks.json").exists():
        raise PublishError(
            f"there are no results in {results}; measure first: "
            f"`make bench-history`, or `asv run` in {config.parent}"
        )
    fetched = fetch(FETCHED)
    _run([sys.executable, "-m", "asv", "publish", "--no-pull", "--config", config.name], config.parent)
    for name in [*FILES.values(), FONT]:
        (site / "vendor" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(fetched / name, site / "vendor" / name)
    leave_out_unmeasured(site)
    pages = sorted(site.glob("*.html"))
    for page in pages:
        page.write_text(load_from_beside(page.read_text(encoding="utf-8")), encoding="utf-8")
    refuse_the_web([*pages, *site.rglob("*.css")])
    return site


def fetch(folder: Path) -> Path:
    """Let npm fetch the files that the lock file pins, unless they exist, and return their folder."""
    lock = (HERE / "site" / "package-lock.json").read_text(encoding="utf-8")
    packages, complete = folder / "node_modules", folder / "complete"
    if complete.exists() and complete.read_text(encoding="utf-8") == lock:  # written last
        return packages
    if shutil.which("npm") is None:
        raise PublishError("npm is not on PATH; it fetches the scripts of the site, once: install Node.js")
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / "site" / name, folder)
    _run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder)
    complete.write_text(lock, encoding="utf-8")
    return packages


def leave_out_unmeasured(site: Path) -> None:
    """Remove benchmarks without a result from the site's index, since pages would request missing files."""
    index = json.loads((site / "index.json").read_text(encoding="utf-8"))
    measured = {path.stem for path in (site / "graphs" / "summary").glob("*.json")}
    index["benchmarks"] = {name: one for name, one in index["benchmarks"].items() if name in measured}
    (site / "index.json").write_text(json.dumps(index), encoding="utf-8")


def load_from_beside(page: str) -> str:
    """Return a page that loads from ``vendor/`` the files that it loaded from the web.

    npm has verified the files by their hashes; the hashes in the page are those of the files on the web.
    """
    for address, name in FILES.items():
        page = page.replace(f'"{address}"', f'"vendor/{name}"')
    return re.sub(r'(<(?:script|link)\b[^>]*?"vendor/[^>]*>)', _without_hashes, page)


def _without_hashes(tag: re.Match[str]) -> str:
    return re.sub(r' (?:integrity|crossorigin|referrerpolicy)="[^"]*"', "", tag[1])


def refuse_the_web(files: list[Path]) -> None:
    """Raise if a page or a style sheet loads anything from the web; links to the web are allowed."""
    loaded = ((address, file) for file in files for address in loaded_by(file))
    left = [f"\n  {address}, in {file}" for address, file in loaded if re.match(r"(https?:)?//", address)]
    if left:
        raise PublishError(
            "the site would load this from the web; add it to FILES in publish.py, and its package to "
            f"site/package.json:{''.join(left)}"
        )


def loaded_by(file: Path) -> list[str]:
    """Return the addresses that a page or style sheet loads."""
    if file.suffix == ".css":
        return re.findall(r"""(?:url\(|@import)\s*['"]?([^'")\s]+)""", file.read_text(encoding="utf-8"))
    reader = _Loaded()
    reader.feed(file.read_text(encoding="utf-8"))
    return reader.addresses


class _Loaded(HTMLParser):
    """Collects the addresses that a page loads: scripts, style sheets, pictures, frames."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.addresses += filter(None, [values.get("src"), values.get("href") if tag == "link" else None])


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode != 0:
        raise PublishError(f"`{' '.join(command)}` failed in {folder}:\n{done.stdout}")


def main() -> None:
    """Make the site, and print its folder."""
    parser = argparse.ArgumentParser(description="Make asv's site of the existing results.")
    parser.add_argument("--config", type=Path, default=HERE / "asv.conf.json", help="asv's configuration")
    try:
        site = publish(parser.parse_args().config.resolve())
    except PublishError as error:
        sys.exit(f"publish: {error}")
    print(f"The site is {site}.\nTo look at it: python3 -m http.server --bind 127.0.0.1 --directory {site}")


if __name__ == "__main__":
    main()
