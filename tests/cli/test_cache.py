"""`convhub cache`."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import time
import zipfile

import pytest
from support import toy_backend
from support.toy_kernel_cache import toy_kernel_cache

from convhub.backend import CachedKernel

NAMES = ("a.toy", "b.toy", "c.toy")


@pytest.fixture(autouse=True)
def _only_these(monkeypatch):
    monkeypatch.setenv("CONVHUB_DISABLE_PLUGINS", "convhub")


@pytest.fixture
def kernels(tmp_path):
    """Make a folder of three kernels, used 1, 2 and 3 days ago; the second is out of date."""
    folder = tmp_path / "kernels"
    folder.mkdir()
    for days, name in enumerate(NAMES, 1):
        (folder / name).write_bytes(name.encode() + (b" old " if name == "b.toy" else b" new ") + bytes(100))
        os.utime(folder / name, (0, time.time() - days * 86400))
    return folder


@pytest.fixture
def cached(plugin, kernels):
    """Register the toy backend with a cache in that folder; and another backend, which has none."""
    plugin("toy", toy(kernel_cache=toy_kernel_cache(kernels)))
    plugin("plain", toy(name="plain"))


def toy(**fields):
    return dataclasses.replace(toy_backend.toy, **fields)


def left(folder):
    return [path.name for path in sorted(folder.iterdir())]


def test_it_shows_what_is_kept_and_how_much_is_out_of_date(run, run_json, cached, kernels):
    output = run("cache").stdout
    assert output.split()[:9] == [
        "Backend",
        "Kernels",
        "Size",
        "Usable",
        "here",
        "Out",
        "of",
        "date",
        "Folder",
    ]
    assert f"toy      3        0.0 MiB  2            1            {kernels}\n" in output
    assert output.endswith("\n1 out of date: it is for another toy\n")
    assert run("cache", "show").stdout == output
    report, code = run_json("cache")
    assert (code, report["action"], report["done"]) == (0, "show", [])
    (found,) = report["caches"]
    entries = found.pop("entries")
    assert found == {
        "backend": "toy",
        "folder": str(kernels),
        "reason": None,
        "kernels": 3,
        "bytes": 330,
        "outdated": 1,
    }
    assert [entry["name"] for entry in entries] == [*NAMES]
    assert [entry["outdated"] for entry in entries] == [None, "it is for another toy", None]


@pytest.mark.parametrize(
    ("options", "remaining"),
    [
        ([], ["a.toy", "c.toy"]),
        (["--all"], []),
        (["--max-bytes", "250"], ["a.toy", "c.toy"]),
        (["--max-bytes", "110"], ["a.toy"]),
        (["--max-bytes", "0"], []),
        (["--older-than", "2.5"], ["a.toy"]),
        (["--older-than", "0.5"], []),
        (["--backend", "plain"], [*NAMES]),
        (["--backend", "toy"], ["a.toy", "c.toy"]),
    ],
)
def test_prune(run, cached, kernels, options, remaining):
    result = run("cache", "prune", *options)
    assert result.exit_code == 0
    assert left(kernels) == remaining
    removed = len(NAMES) - len(remaining)
    assert result.stdout.startswith(f"Removed {removed} kernel{'' if removed == 1 else 's'}.\n")


def test_what_cannot_be_removed_is_named(run, run_json, plugin, kernels):
    def remove(name):
        raise PermissionError(13, "Permission denied")

    plugin("toy", toy(kernel_cache=dataclasses.replace(toy_kernel_cache(kernels), remove=remove)))
    result = run("cache", "prune")
    assert result.exit_code == 1
    assert result.stderr == "Error: not removed: b.toy of toy: Permission denied\n"
    assert result.stdout.startswith("Removed 0 kernels.\n")
    report, code = run_json("cache", "prune")
    assert (code, report["done"]) == (
        1,
        [{"backend": "toy", "kernel": "b.toy", "failure": "Permission denied"}],
    )


# --- archives -------------------------------------------------------------------------------------------


def test_what_is_exported_is_imported_elsewhere(run, run_json, cached, kernels, plugin, tmp_path):
    assert run("cache", "export", "a.zip").stdout.startswith("Exported 2 kernels.\n")
    assert run("cache", "export", "all.zip", "--all").stdout.startswith("Exported 3 kernels.\n")
    before = {name: (kernels / name).read_bytes() for name in NAMES}
    assert run("cache", "prune", "--all").exit_code == 0
    report, code = run_json("cache", "import", "a.zip")
    assert (code, report["caches"][0]["kernels"]) == (0, 2)
    assert left(kernels) == ["a.toy", "c.toy"]
    assert run("cache", "import", "all.zip").stdout.startswith("Imported 3 kernels.\n")
    assert {name: (kernels / name).read_bytes() for name in NAMES} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "all.zip", "kernels"]


def test_what_cannot_be_read_is_not_exported_and_named(run, plugin, kernels):
    def read(name):
        if name == "a.toy":
            raise ValueError("it is not as it was written")
        return b"content"

    plugin("toy", toy(kernel_cache=dataclasses.replace(toy_kernel_cache(kernels), read=read)))
    result = run("cache", "export", "a.zip")
    assert result.exit_code == 1
    assert result.stderr == "Error: not exported: a.toy of toy: it is not as it was written\n"
    assert result.stdout.startswith("Exported 1 kernel.\n")


def archive(path, rows, version=1, digest=None, size=None):
    """Write an archive by hand: rows of backend, name and content."""
    with zipfile.ZipFile(path, "w") as file:
        entries = []
        for number, (backend, name, content) in enumerate(rows):
            file.writestr(f"kernels/{number}", content)
            right = hashlib.sha256(content).hexdigest()
            entries.append(
                {"backend": backend, "name": name, "bytes": size or len(content), "sha256": digest or right}
            )
        file.writestr("manifest.json", json.dumps({"convhub_kernels": version, "kernels": entries}))


@pytest.mark.parametrize(
    ("row", "changes", "reason"),
    [
        (("toy", "d.toy", b"e.toy"), {}, "it belongs to another name"),
        (("toy", "../d.toy", b"../d.toy"), {}, "its name is not that of a kernel"),
        (("toy", "/tmp/d.toy", b"/tmp/d.toy"), {}, "its name is not that of a kernel"),
        (("other", "d.toy", b"d.toy"), {}, "no backend of that name keeps kernels here"),
        (("plain", "d.toy", b"d.toy"), {}, "no backend of that name keeps kernels here"),
        (("toy", "d.toy", b"d.toy"), {"digest": "0" * 64}, "its content has not the digest of the manifest"),
        (("toy", "d.toy", b"d.toy"), {"size": 4}, "it is damaged: 'it has 5 bytes'"),
    ],
)
def test_a_kernel_that_is_not_as_it_was_written_is_refused_by_name(
    run, cached, kernels, tmp_path, row, changes, reason
):
    archive(tmp_path / "a.zip", [row], **changes)
    before = sorted(tmp_path.rglob("*"))
    result = run("cache", "import", "a.zip")
    assert result.exit_code == 1
    assert result.stderr == f"Error: refused: {row[1]} of {row[0]}: {reason}\n"
    assert result.stdout.startswith("Imported 0 kernels.\n")
    assert sorted(tmp_path.rglob("*")) == before


def test_the_others_are_imported(run, cached, kernels, tmp_path):
    archive(tmp_path / "a.zip", [("toy", "d.toy", b"e.toy"), ("toy", "f.toy", b"f.toy")])
    result = run("cache", "import", "a.zip")
    assert result.exit_code == 1
    assert result.stderr == "Error: refused: d.toy of toy: it belongs to another name\n"
    assert left(kernels) == [*NAMES, "f.toy"]


def test_a_changed_byte_is_found(run, cached, kernels, tmp_path):
    archive(tmp_path / "a.zip", [("toy", "d.toy", b"d.toy content")])
    content = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "a.zip").write_bytes(content.replace(b"d.toy content", b"d.toy CONTENT"))
    result = run("cache", "import", "a.zip")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: refused: d.toy of toy: it is damaged: Bad CRC-32 for file")
    assert left(kernels) == [*NAMES]


@pytest.mark.parametrize("kind", ["absent", "text", "truncated", "no_manifest", "other_version", "folder"])
def test_a_file_that_is_no_archive_is_refused(run, cached, kernels, tmp_path, kind):
    path = tmp_path / "a.zip"
    archive(path, [("toy", "d.toy", b"d.toy")], version=2 if kind == "other_version" else 1)
    if kind in ("absent", "folder"):
        path.unlink()
    if kind == "folder":
        path.mkdir()
    if kind == "text":
        path.write_text("kernels")
    if kind == "truncated":
        os.truncate(path, path.stat().st_size // 2)
    if kind == "no_manifest":
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("kernels/0", b"d.toy")
    result = run("cache", "import", "a.zip")
    assert result.exit_code == 2
    words = {
        "absent": "which cannot be read: No such file or directory",
        "folder": "which cannot be read: Is a directory",
        "other_version": "whose convhub_kernels is 2; it must be 1",
    }.get(kind, "it must be what `convhub cache export` wrote: ")
    assert "Error: FILE is 'a.zip'" in result.stderr
    assert words in result.stderr
    assert left(kernels) == [*NAMES]


# --- wrong arguments, and backends that fail ------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["export"], "export needs a FILE"),
        (["import"], "import needs a FILE"),
        (["show", "a.zip"], "show takes no FILE, and it is 'a.zip'"),
        (["prune", "a.zip"], "prune takes no FILE"),
        (["show", "--all"], "--all belongs to prune and export, not to show"),
        (["export", "a.zip", "--max-bytes", "1"], "--max-bytes belongs to prune, not to export"),
        (["--older-than", "1"], "--older-than belongs to prune, not to show"),
        (["export", "no/where.zip"], "FILE is 'no/where.zip', whose folder does not exist"),
        (["--backend", "tow"], "toy"),
        (["shwo"], "Did you mean 'show'?"),
    ],
)
def test_wrong_arguments(run, cached, kernels, arguments, words):
    result = run("cache", *arguments)
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.split())
    assert left(kernels) == [*NAMES]


def raises(error):
    def function(*_):
        raise error

    return function


def test_a_backend_without_a_folder_says_why(run, plugin, kernels):
    none = dataclasses.replace(toy_kernel_cache(kernels), folder=raises(OSError("it cannot be written")))
    plugin("toy", toy(kernel_cache=none))
    result = run("cache")
    assert result.exit_code == 0
    assert "none: it cannot be written" in result.stdout


def test_a_backend_that_is_not_available_is_not_asked(run, plugin, kernels):
    fails = dataclasses.replace(toy_kernel_cache(kernels), folder=raises(AssertionError()))
    plugin("toy", toy(kernel_cache=fails, availability=lambda: "no toy driver"))
    result = run("cache")
    assert result.exit_code == 0
    assert "none: not available: no toy driver" in result.stdout


def test_without_any_cache(run, toy):
    assert run("cache").stdout == "No backend keeps compiled kernels.\n"


@pytest.mark.parametrize(
    ("field", "function", "words"),
    [
        ("folder", raises(KeyError("x")), "failed at folder of its kernel_cache: KeyError: 'x'"),
        ("folder", lambda: None, "returned None for folder of its kernel_cache; it must be a text"),
        ("entries", raises(ValueError("x")), "failed at entries of its kernel_cache: ValueError: x"),
        ("entries", lambda: None, "failed at entries of its kernel_cache: TypeError"),
        ("entries", lambda: ["a.toy"], "returned 'a.toy' for entries of its kernel_cache; it must be"),
        ("entries", lambda: [CachedKernel(name="a", size="1", used=0.0)], "returned CachedKernel(name='a', "),
    ],
)
def test_a_backend_that_breaks_the_contract(run, run_json, plugin, kernels, field, function, words):
    cache = dataclasses.replace(toy_kernel_cache(kernels), **{field: function})
    plugin("toy", toy(kernel_cache=cache))
    result = run("cache")
    assert result.exit_code == 1
    assert f"Error: backend 'toy' (plugin 'toy' of this process) {words}" in result.stderr
    report, _ = run_json("doctor")
    assert words in report["compiled_kernels"]["unknown"]


def test_doctor_says_where_they_are_and_how_much(run, run_json, cached, kernels):
    assert f"\n  toy  3 kernels, 1 out of date, 0.0 MiB, in {kernels}\n" in run("doctor").stdout
    report, _ = run_json("doctor")
    assert report["compiled_kernels"] == {"toy": f"3 kernels, 1 out of date, 0.0 MiB, in {kernels}"}
