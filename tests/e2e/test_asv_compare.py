"""asv_bench/compare.py: what is an alarm, that a slowdown is seen, and that none is seen where none is."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import zipfile

import pytest
from support import asv_suite
from support.asv_suite import ASV, ROOT

from convhub.problem import PRIMITIVES

#: The engine that is the soonest compared with another: neither compiles, nor imports much.
QUICK = r"TimeSmallLayers.*'(naive|numpy)', .*, 'small'"


@pytest.fixture
def scripts(monkeypatch):
    """Return the function that imports a script of asv_bench/."""
    monkeypatch.syspath_prepend(str(ASV))
    names = ("compare", "install", "keep", "linked", "proof", "tables")
    yield importlib.import_module
    for name in names:
        sys.modules.pop(name, None)


def run(*command, **variables):
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | variables, capture_output=True, text=True, check=False
    )


@pytest.mark.timing
@pytest.mark.timeout(600)
def test_a_planted_slowdown_is_caught_and_equal_revisions_are_no_alarm(tmp_path):
    # In an empty home, since asv writes there what it knows of the machine. `make bench-compare-proof` plants
    # 1.5; tests may run where something else does, which moves times by as much.
    command = [sys.executable, "asv_bench/proof.py", "naive", "--bench", QUICK, "--slower", "2.5"]
    done = run(*command, HOME=str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Right: ") == 2
    assert "None of 6 is slower" in done.stdout
    assert re.search(r"[123] of 6 are slower", done.stdout)


def test_what_is_compared_is_every_engine_and_primitive_and_no_error(scripts, tmp_path):
    chosen = scripts("compare").CHOSEN
    benchmarks = asv_suite.cells(tmp_path)
    texts = {text: cell for cells in benchmarks.values() for text, cell in cells.items()}
    for regex in chosen:
        assert any(re.search(regex, text) for text in texts), regex
    compared = {text: cell for text, cell in texts.items() if any(re.search(regex, text) for regex in chosen)}
    assert not any("track_" in text for text in compared)
    engines = {cell[0] for cell in texts.values()} & {"'naive'", "'numba'", "'numpy'", "'torch'"}
    assert {name.strip("'") for name in engines} == set(scripts("proof").ENGINES)
    for engine in engines:
        for primitive in PRIMITIVES:
            layers = {text for text, cell in compared.items() if cell[:2] == (engine, f"'{primitive}'")}
            assert any("'tiny'" in text for text in layers)
            assert any("'tiny'" not in text for text in layers)


#: Tables of asv: the first comparison, the second where there is one, the exit code, what is said.
SAME = "|   | 1.0±0ms | 1.1±0ms | 1.10 | a.time_call('numpy') |"
SLOWER = "| + | 1.0±0ms | 1.6±0ms | 1.60 | a.time_call('numba') |"
SLOWEST = "| + | 1.0±0ms | 10.0±0ms | 10.00 | a.time_call('naive') |"
NOT_AGAIN = "|   | 1.0±0ms | 1.0±0ms | 1.00 | a.time_call('naive') |"
FASTER = "| - | 1.6±0ms | 1.0±0ms | 0.62 | a.time_call('numba') |"
PERHAPS = "|   | 1.0±0ms | 1.6±1ms | ~1.60 | a.time_call('numba') |"
LOST = "|   | 1.0±0ms | n/a | n/a | a.time_call('naive') |"
FAILED = "| ! | 1.0±0ms | failed | n/a | a.time_call('naive') |"
NEW = "| * | failed | 1.0±0ms | n/a | a.time_call('torch') |"
NEITHER = "|   | failed | failed | n/a | a.time_call('torch') |"
DECLINED = "|   | n/a | n/a | n/a | a.time_call('torch') |"
NAMES = [f"a.time_call('{name}')" for name in ("naive", "numba", "numpy", "torch")]
TABLES = {
    "nothing changed": ([SAME, PERHAPS, DECLINED], None, 0, "None of 2 is slower"),
    "slower twice": ([SAME, SLOWER], [SLOWER, DECLINED], 1, "1 of 2 are slower"),
    "slower by the median alone": ([SAME, SLOWER], [SLOWER], 0, "None of 2 is slower"),
    "slower once": ([SAME, SLOWER], [PERHAPS], 0, "None of 2 is slower"),
    "slower, then faster": ([SAME, SLOWER], [FASTER], 0, "None of 2 is slower by more than 1.25; 0 are"),
    "faster twice": ([SAME, FASTER], [FASTER], 0, "None of 2 is slower by more than 1.25; 1 are faster"),
    "declined now": ([SAME, LOST], None, 1, "1 of 2 are slower"),
    "fails now": ([SAME, FAILED], None, 1, "says why some no longer run."),
    "runs now": ([SAME, NEW], None, 0, "None of 2 is slower"),
    "fails in both": ([SAME, NEITHER], None, 2, "They could not be compared"),
    "nothing runs": ([DECLINED], None, 2, "They could not be compared"),
    "BASE does not build": ([NEW, NEW], None, 2, "They could not be compared"),
    "HEAD does not build": ([FAILED, FAILED], None, 2, "They could not be compared"),
    "no table": ([], None, 2, "They could not be compared"),
}


@pytest.mark.parametrize("name", TABLES)
def test_what_is_an_alarm(scripts, monkeypatch, capsys, tmp_path, name):
    compare = scripts("compare")
    first, second, code, said = TABLES[name]
    tables = [first] if second is None else [first, second]
    head = (
        "| Change | Before [a] <main> | After [b] | Ratio | Benchmark (Parameter) |\n|---|---|---|---|---|\n"
    )
    monkeypatch.setattr(compare, "FOLDER", tmp_path)
    monkeypatch.setattr(compare, "_git", lambda *_, **__: "a commit")
    monkeypatch.setattr(compare, "_twin", lambda _: "its twin")
    fastest = {"slower by the median alone": 1.1}.get(name, 0.6 if second == [FASTER] else 1.6)
    least = {"a commit": {"a.time_call('numba')": 1.0}, "its twin": {"a.time_call('numba')": fastest}}
    monkeypatch.setattr(compare, "_fastest_calls", lambda: least)
    monkeypatch.setattr(
        compare,
        "_asv",
        lambda _, command, *rest, **__: head + "\n".join(tables.pop(0)) if command == "compare" else "",
    )
    monkeypatch.setattr(compare, "_count", lambda _: 2)
    assert compare.main(["HEAD"]) == code
    assert said in capsys.readouterr().out
    assert not tables


@pytest.mark.parametrize(
    ("again", "code", "said"),
    [
        ([[NOT_AGAIN], [SLOWER]], 1, "1 of 4 are slower"),
        ([[NOT_AGAIN], [PERHAPS]], 0, "1 more were not measured again"),
        (
            [["| + | 1.0±0ms | 10.0±0ms | 10.00 | a.time_call('naive') |"]],
            1,
            "2 more were not measured again",
        ),
    ],
    ids=["the second is", "none is", "the first is"],
)
def test_suspects_are_measured_again_until_one_is_slower(
    scripts, monkeypatch, capsys, tmp_path, again, code, said
):
    compare = scripts("compare")
    faster = "| - | 1.0±0ms | 0.5±0ms | 0.50 | a.time_call('torch') |"
    tables = [[faster, SAME, SLOWER, SLOWEST], *again]
    monkeypatch.setattr(compare, "MOST_SUSPECTS", 1)
    monkeypatch.setattr(compare, "FOLDER", tmp_path)
    monkeypatch.setattr(compare, "_git", lambda *_, **__: "a commit")
    monkeypatch.setattr(compare, "_twin", lambda _: "its twin")
    monkeypatch.setattr(
        compare,
        "_fastest_calls",
        lambda: {"a commit": dict.fromkeys(NAMES, 1.0), "its twin": dict.fromkeys(NAMES, 2.0)},
    )
    measured = []

    def asv(_, command, *rest, **__):
        if command == "run":
            measured.append(rest[-1])
        return "\n".join(tables.pop(0)) if command == "compare" else ""

    monkeypatch.setattr(compare, "_asv", asv)
    monkeypatch.setattr(compare, "_count", lambda _: 4)
    assert compare.main(["HEAD"]) == code
    assert said in capsys.readouterr().out
    assert not tables
    assert "naive" in measured[1]  # the slowest first, by number and not by text


@pytest.mark.parametrize(("limit", "code"), [(15, 0), (0, 1)], ids=["there is time", "there is none"])
def test_an_estimate_is_printed_and_second_rounds_have_a_limit(
    scripts, monkeypatch, capsys, tmp_path, limit, code
):
    compare = scripts("compare")
    tables = [[SAME, SLOWER, FASTER], [PERHAPS]]
    monkeypatch.setattr(compare, "FOLDER", tmp_path)
    monkeypatch.setattr(compare, "LIMIT", limit)
    monkeypatch.setattr(compare, "_git", lambda *_, **__: "a commit")
    monkeypatch.setattr(compare, "_twin", lambda _: "its twin")
    monkeypatch.setattr(
        compare, "_fastest_calls", lambda: dict.fromkeys(["a commit", "its twin"], dict.fromkeys(NAMES, 1.0))
    )

    def asv(_, command, *rest, **__):
        return "\n".join(tables.pop(0)) if command == "compare" else ""

    monkeypatch.setattr(compare, "_asv", asv)
    assert compare.main(["HEAD", "--bench", "TinyCall"]) == code
    printed = capsys.readouterr().out
    assert re.search(
        r"^\d benchmarks of two revisions in 4 rounds take about a minute\.$", printed, re.MULTILINE
    )
    if limit:
        assert "2 are measured again, in 8 rounds: about a minute." in printed
    else:
        assert "2 could not be measured again within 0 minutes." in printed
        assert "1 of 3 are slower by more than 1.25" in printed
        assert len(tables) == 1


def test_what_is_compared_is_added_to_the_results_of_the_site(scripts, tmp_path):
    keep = scripts("keep").keep
    from asv import util
    from asv.results import Results
    from asv.runner import BenchmarkResult

    benchmark = {"name": "a.time_call", "version": "1", "params": [["'x'", "'y'"]]}
    benchmarks = {"a.time_call": benchmark, "version": 2}

    def write(folder, commit, x, y):
        machine = folder / "vm"
        machine.mkdir(parents=True, exist_ok=True)
        util.write_json(str(machine / "machine.json"), {"machine": "vm"}, 1)
        util.write_json(str(folder / "benchmarks.json"), benchmarks)
        result = Results({"machine": "vm"}, {}, commit, 0, "3", "linked", {})
        samples = [None if one is None else [one] for one in (x, y)]
        values = [float("nan") if one is None else one for one in (x, y)]
        number = [None if one is None else 1 for one in (x, y)]
        one = BenchmarkResult(values, samples, number, 0, "", None)
        result.add_result(benchmark, one, record_samples=True)
        result.save(str(folder))

    measured, kept = tmp_path / "measured", tmp_path / "kept"
    write(kept, "a" * 40, 1.0, 2.0)
    write(measured, "a" * 40, None, 3.0)
    write(measured, "b" * 40, 4.0, None)
    assert keep(measured, kept, ["a" * 40]) == 1  # the other is a commit of no branch
    (path,) = kept.glob("vm/aaaaaaaa-*.json")
    assert not list(kept.glob("vm/bbbbbbbb-*.json"))
    found = Results.load(str(path), machine_name="vm")
    assert found.get_result_value("a.time_call", benchmark["params"]) == [1.0, 3.0]
    assert found.get_result_samples("a.time_call", benchmark["params"]) == [[1.0], [3.0]]


def test_rows_and_columns_that_nobody_asked_for_are_left_out(scripts):
    tables = scripts("tables")
    params = [["'a'", "'b'"], ["1", "2", "3"]]
    cells = ["a1", "a2", "a3", "b1", "b2", "b3"]
    assert tables.asked_for(cells, params, {3, 5}) == (["b1", "b3"], [["'b'"], ["1", "3"]])
    assert tables.asked_for(cells, params, {0, 4}) == (["a1", "a2", "b1", "b2"], [["'a'", "'b'"], ["1", "2"]])


def test_counts_are_one_or_more(scripts, capsys):
    for option in ("--rounds", "--times"):
        with pytest.raises(SystemExit, match="2"):
            scripts("compare").main(["HEAD", option, "0"])
        assert "it is 0, and must be 1 or more" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("named", "planted"), [([], ["naive", "numba", "numpy", "torch"]), (["numpy"], ["numpy"])]
)
def test_a_slowdown_is_planted_in_each_engine_or_those_that_are_named(scripts, monkeypatch, named, planted):
    proof = scripts("proof")
    compared = []
    monkeypatch.setattr(proof, "copy_of_the_files", lambda _: "base")
    monkeypatch.setattr(proof, "_plant", lambda _, engine, base, times: f"{engine} on {base}, {times}")
    monkeypatch.setattr(proof, "_is_right", lambda engine, *rest: compared.append((engine, rest[2])) or True)
    assert proof.main(named) == 0
    assert compared == [("none", "base"), *((engine, f"{engine} on base, 1.5") for engine in planted)]


def test_an_engine_that_is_none_is_refused(scripts, capsys):
    with pytest.raises(SystemExit, match="2"):
        scripts("proof").main(["cudnn"])
    assert "'cudnn' is no engine; they are naive, numba, numpy, torch" in capsys.readouterr().err


def test_a_revision_that_is_none_is_refused():
    for arguments, name in ((["nowhere"], "BASE"), (["HEAD", "--", "nowhere"], "HEAD")):
        done = run(sys.executable, "asv_bench/compare.py", *arguments)
        assert done.returncode == 2
        assert f"{name} is 'nowhere', which is no revision of this repository" in done.stderr
    done = run("make", "bench-compare")
    assert done.returncode == 2
    assert "BASE is missing" in done.stderr
    assert "BASE=main~1" in done.stderr


def test_commits_do_not_share_what_is_compiled(scripts, monkeypatch, tmp_path):
    """numba keeps it beside the source, and does not notice each change: see install.py."""
    install = scripts("install")
    packages = tmp_path / "site-packages"
    packages.mkdir()
    monkeypatch.setattr(install.sysconfig, "get_path", lambda _: str(packages))
    for commit in ("one", "two"):
        with zipfile.ZipFile(tmp_path / f"{commit}.whl", "w") as wheel:
            wheel.writestr("convhub/kernel.py", f"commit = {commit!r}\n")
    for commit in ("one", "two", "one"):
        install.install(tmp_path, commit, tmp_path / f"{commit}.whl")
        folder = tmp_path / "commits" / commit
        assert (packages / "_convhub.pth").read_text() == f"{folder}\n"
        assert (folder / "convhub" / "kernel.py").read_text() == f"commit = {commit!r}\n"
        (folder / "convhub" / f"{commit}.nbi").touch()
    caches = {path.relative_to(tmp_path / "commits").as_posix() for path in tmp_path.rglob("*.nbi")}
    assert caches == {"one/convhub/one.nbi", "two/convhub/two.nbi"}

    monkeypatch.setattr(install, "KEPT", 1)
    install.install(tmp_path, "two", tmp_path / "two.whl")
    assert [path.name for path in (tmp_path / "commits").iterdir()] == ["two"]
    (packages / "convhub").mkdir()
    with pytest.raises(SystemExit, match="would be measured in place of any commit"):
        install.install(tmp_path, "one", tmp_path / "one.whl")


def test_a_linked_environment_has_the_versions_of_the_matrix(scripts):
    linked = scripts("linked")
    here = "{}.{}".format(*sys.version_info)
    with pytest.raises(linked.EnvironmentUnavailable, match=f"linked is for Python {here}"):
        linked.Linked(None, "3.0", {}, {})
    with pytest.raises(linked.EnvironmentUnavailable, match=r"linked needs numpy 0\.1, which asv"):
        linked.Linked(None, here, {"numpy": "0.1"}, {})


def test_a_linked_environment_leads_to_editable_backends_and_not_to_this_convhub(
    scripts, monkeypatch, tmp_path
):
    site, sources = tmp_path / "site", tmp_path / "sources"
    for name, group in (("mine", "convhub"), ("convhub", "convhub"), ("other", "pytest11")):
        info = site / f"{name}-1.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {name}\n")
        (info / "RECORD").write_text(f"_editable_{name}.pth,,\n{name}-1.dist-info/METADATA,,\n")
        (site / f"_editable_{name}.pth").write_text(f"{sources / name}\n")
    linked = scripts("linked")
    monkeypatch.setattr(sys, "path", [str(site)])
    assert linked._editable_backends() == [str(sources / "mine")]
