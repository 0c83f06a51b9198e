"""The site of `make bench-publish`: it draws what was measured, and asks nothing of another machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest
from support import asv_scripts, browser
from support.asv_scripts import BENCH

#: In asv's regular expressions: benchmarks that take milliseconds, and for a page of several parameters a few
#: of their combinations.
MEASURED = (
    r"TinyCall.*\('(numpy|naive)'",
    r"TimeLayers.*\('(numpy|torch itself)', '(forward|grad_input)', '3x3', 'float32'",
)
ROWS = ("numpy", "torch itself")


@pytest.fixture(scope="module")
def publish():
    return asv_scripts.load("publish")


def run(command, folder, **variables):
    done = subprocess.run(
        command, cwd=folder, env=os.environ | variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


@pytest.fixture
def bench(tmp_path):
    """Return asv_bench/ in a repository of two revisions, of which asv has results."""
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.invalid"]
    run([*git, "init", "--quiet", "--initial-branch=main"], tmp_path)
    revisions = []
    for message in ("One", "Two"):
        run([*git, "commit", "--quiet", "--allow-empty", "--message", message], tmp_path)
        revisions.append(run(["git", "rev-parse", "HEAD"], tmp_path))
    folder = tmp_path / "asv_bench"
    shutil.copytree(BENCH, folder, ignore=shutil.ignore_patterns(".asv", "__pycache__"))
    asv = [sys.executable, "-m", "asv"]
    run([*asv, "machine", "--yes"], folder, HOME=str(tmp_path))
    command = [*asv, "run", "--quick", "--python=same", "--launch-method", "forkserver"]
    command += [word for regex in MEASURED for word in ("--bench", regex)]
    run([*command, "--set-commit-hash", revisions[0]], folder, HOME=str(tmp_path))
    # The other revision is said to have given the same: what is under test is the site.
    # The rest of its name is that of the environment, or where that is long, a hash of it.
    (measured,) = folder.glob(f".asv/results/*/{revisions[0][:8]}-*.json")
    name = measured.name.replace(revisions[0][:8], revisions[1][:8])
    measured.with_name(name).write_text(measured.read_text().replace(*revisions))
    return folder


def series(visit):
    """Return what the graph of a page draws: of each line its label, and how many points it has."""
    return dict(
        visit.page.evaluate(
            "$('#main-graph').data('plot').getData().map(one => [one.label, one.data.length])"
        )
    )


def is_drawn(visit):
    """Return whether the canvas of the graph has pixels of more than one colour."""
    return visit.page.evaluate(
        """() => {
            const canvas = $('#main-graph canvas.flot-base')[0];
            const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
            return new Set(new Uint32Array(pixels.buffer)).size > 2;
        }"""
    )


@pytest.mark.timeout(120)
def test_the_site_draws_what_was_measured_and_needs_no_web(publish, bench, tmp_path, monkeypatch):
    kept = (publish.FETCHED / "complete").exists()
    if not kept and shutil.which("npm") is None and not os.environ.get("CI"):
        pytest.skip("npm, which fetches the scripts of the site, is not installed")
    site = publish.publish(bench / "asv.conf.json")
    with monkeypatch.context() as patch:
        patch.setattr(publish.shutil, "which", lambda name: None)
        assert publish.publish(bench / "asv.conf.json") == site  # what npm fetched is kept

    measured = json.loads((site / "index.json").read_text())["benchmarks"]
    assert {name.split(".")[1] for name in measured} == {"TimeLayers", "TinyCall"}
    with browser.visit(site) as visit:
        visit.go("index.html")
        assert visit.page.locator("#summarygrid-display .benchmark-container").count() == len(measured)
        visit.go("index.html#/summarylist")
        links = visit.page.locator("#summarylist-body td a")
        assert {text.split(" ")[0] for text in links.all_text_contents()} >= set(measured)

        (layers,) = (name for name in measured if "TimeLayers" in name)
        fixed = "&p-layer='3x3'&p-dtype='float32'"
        for primitives in (["forward"], ["forward", "grad_input"]):
            chosen = [("backend", row) for row in ROWS] + [("primitive", one) for one in primitives]
            query = "&".join(f"p-{name}='{value}'" for name, value in chosen)
            visit.go(f"index.html#{layers}?{query}{fixed}")
            assert series(visit) == {
                f"backend-{row}; dtype-float32; layer-3x3; primitive-{primitive}": 2
                for row in ROWS
                for primitive in primitives
            }
            assert is_drawn(visit)
        visit.screenshot(tmp_path / "graph.png")
    assert (visit.foreign, visit.errors) == ([], [])


def test_without_results_it_says_what_to_run(publish, tmp_path):
    config = shutil.copy(BENCH / "asv.conf.json", tmp_path)
    command = [sys.executable, BENCH / "publish.py", "--config", config]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"there are no results in {tmp_path}/.asv/results; measure first: `make" in done.stderr


def test_an_address_that_is_not_known_is_refused(publish, tmp_path):
    page, sheet = tmp_path / "index.html", tmp_path / "a.css"
    page.write_text(
        '<a href="https://links.invalid/">a link</a><link rel="icon" href="beside.ico">'
        '<script src="https://new.invalid/a.js"></script><link href="//styles.invalid/a.css">'
    )
    sheet.write_text(
        "@font-face { src: url('https://fonts.invalid/a.woff') } a { background: url(beside.png) }"
    )
    with pytest.raises(publish.PublishError, match="add it to FILES in publish.py") as raised:
        publish.refuse_the_web([page, sheet])
    lines = str(raised.value).splitlines()[1:]
    assert [line.split(",")[0].strip() for line in lines] == [
        "https://new.invalid/a.js",
        "//styles.invalid/a.css",
        "https://fonts.invalid/a.woff",
    ]


def test_the_lock_pins_every_package_with_a_hash(publish):
    lock = json.loads((BENCH / "site" / "package-lock.json").read_text())["packages"]
    wanted = json.loads((BENCH / "site" / "package.json").read_text())["dependencies"]
    assert {name: lock[f"node_modules/{name}"]["version"] for name in wanted} == wanted
    assert all(one["integrity"].startswith("sha512-") for name, one in lock.items() if name)
    assert {path.split("/")[0] for path in publish.FILES.values()} == set(wanted)
