"""Compiled kernels on disk: broken and foreign files, folders that cannot be written, folders of others."""

import logging
import os
import pickle
import stat
import subprocess
import sys

import pytest

pytest.importorskip("numba", reason="the engine under test is made of Numba")

from convhub_numba import jit
from convhub_numba.runtime import compile as compile_module
from convhub_numba.runtime.kernel_cache import files, key, limit, location, store
from numba import types

needs_modes = pytest.mark.skipif(os.name == "nt", reason="Windows has no modes of files")
RAN = []


def doubled(number):
    return 2 * number


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch, caplog):
    """Nothing is compiled yet, and what will be is kept in this folder."""
    folder = tmp_path / "kernels"
    use(monkeypatch, folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    caplog.set_level(logging.INFO, "convhub.numba")
    yield folder
    location.place.cache_clear()


def use(monkeypatch, folder):
    """Name this folder, as a new process would find it."""
    if folder is None:
        monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    else:
        monkeypatch.setenv("NUMBA_CACHE_DIR", str(folder))
    location.place.cache_clear()
    monkeypatch.setattr(store, "_told", [])
    monkeypatch.setattr(store, "_logged", set())


def compute(caplog):
    """Compile or load `doubled` as another process would, call it, and return what was logged."""
    caplog.clear()
    function = compile_module.compiled(jit.entry()(doubled), types.int64)
    assert function(21) == 42
    return [record.getMessage() for record in caplog.records]


def compiled(lines):
    return sum("compiling" in line and "took" in line for line in lines)


def kept(folder):
    (path,) = folder.rglob("*.nbc")
    return path


def test_without_files_a_kernel_is_neither_loaded_nor_kept(cache, caplog):
    with store.no_files():
        assert compiled(compute(caplog)) == 1
        assert store.why_not_kept() is None
    assert not cache.exists()
    assert compiled(compute(caplog)) == 1
    before = kept(cache).stat()
    with store.no_files():
        assert compiled(compute(caplog)) == 1
    assert kept(cache).stat().st_mtime_ns == before.st_mtime_ns
    assert compiled(compute(caplog)) == 0


class Runs:
    """What runs when it is unpickled."""

    def __reduce__(self):
        return RAN.append, ("a foreign file",)


def change(path, begin, replacement):
    content = bytearray(path.read_bytes())
    content[begin : begin + len(replacement) or None] = replacement
    path.write_bytes(content)


def with_digest(content):
    """Return a file that is whole, up to date, and holds this instead of a kernel."""

    def write(path):
        whole = files.unpacked(path.read_bytes())
        path.write_bytes(files.packed(whole._replace(payload=content)))

    return write


def instead(make):
    def write(path):
        path.unlink()
        make(path)

    return write


FAULTS = {
    "empty": lambda path: path.write_bytes(b""),
    "one_byte": lambda path: path.write_bytes(b"c"),
    "only_the_header": lambda path: os.truncate(path, 80),
    "half": lambda path: os.truncate(path, path.stat().st_size // 2),
    "all_but_one_byte": lambda path: os.truncate(path, path.stat().st_size - 1),
    "one_byte_more": lambda path: change(path, path.stat().st_size, b"0"),
    "random": lambda path: path.write_bytes(os.urandom(500)),
    "of_numba_itself": lambda path: path.write_bytes(pickle.dumps("0.68.1") + pickle.dumps((1, {}))),
    "a_pickle_that_runs_code": lambda path: path.write_bytes(pickle.dumps(Runs())),
    "machine_code_changed": lambda path: change(path, path.stat().st_size // 2, b"\x00\xff\x00\xff"),
    "key_changed": lambda path: change(path, len(files.MAGIC) + 40, b"\x00\xff\x00\xff"),
    "of_another_kernel": lambda path: path.write_bytes(files.packed(files.KernelFile(b"{}", b""))),
    "a_pickle_of_something_else": with_digest(pickle.dumps(7)),
    "a_pickle_of_a_class_that_is_gone": with_digest(b"cnowhere\nNothing\n."),
    "no_pickle": with_digest(b"\x80\x05junk"),
    "a_dangling_link": instead(lambda path: path.symlink_to(path.parent / "nowhere")),
    "a_pipe": instead(lambda path: os.mkfifo(path)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_that_is_not_as_it_was_written_is_replaced(fault, cache, caplog):
    assert compiled(compute(caplog)) == 1
    path = kept(cache)
    size = path.stat().st_size
    FAULTS[fault](path)
    lines = compute(caplog)
    assert compiled(lines) == 1
    about = [line for line in lines if "is passed over and will be replaced" in line]
    assert len(about) == (fault != "a_dangling_link")  # which is as if there were none
    assert all(line.startswith(str(path)) for line in about)
    assert not RAN
    assert abs(path.stat().st_size - size) < 2000  # names in it vary
    assert compute(caplog) == []
    assert [file for file in path.parent.iterdir() if file != path] == []


def test_a_folder_in_the_place_of_a_file_is_told_once(cache, caplog):
    compute(caplog)
    path = kept(cache)
    path.unlink()
    (path / "inside").mkdir(parents=True)
    lines = [line for line in compute(caplog) if "compiling" not in line]
    assert len(lines) == 2
    assert "passed over" in lines[0]
    assert "compiled kernels are not kept" in lines[1]


@pytest.mark.parametrize("part", ["versions", "target", "settings"])
def test_what_another_version_or_processor_has_compiled_is_not_looked_at(part, cache, caplog, monkeypatch):
    compute(caplog)
    before = kept(cache)
    content = before.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(key, f"current_{part}", lambda *_: ["another"])
        lines = compute(caplog)
        assert compiled(lines) == 1
        assert len(lines) == 2  # before it, and after
        assert compute(caplog) == []
    assert compute(caplog) == []
    assert before.read_bytes() == content
    assert len(list(cache.rglob("*.nbc"))) == 2


def test_settings_of_numba_that_change_code_have_files_of_their_own(cache, caplog, monkeypatch):
    compute(caplog)
    monkeypatch.setattr(key.config, "BOUNDSCHECK", 1)
    assert compiled(compute(caplog)) == 1
    assert len(list(cache.rglob("*.nbc"))) == 2


def test_nothing_half_written_stays_after_an_interrupt(cache, caplog, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "replace", interrupt)
        with pytest.raises(KeyboardInterrupt):
            compute(caplog)
    assert [path for path in cache.rglob("*") if path.is_file()] == []
    assert compiled(compute(caplog)) == 1
    assert compute(caplog) == []


def test_a_kernel_is_marked_as_used_when_it_is_loaded_and_the_limit_kept_when_it_is_saved(
    cache, caplog, monkeypatch
):
    compute(caplog)
    path = kept(cache)
    os.utime(path, (0, 0))
    compute(caplog)
    assert path.stat().st_mtime > 0
    os.utime(path, (0, 0))
    monkeypatch.setattr(store, "keep_within", lambda folder: limit.keep_within(folder, 1000))
    with monkeypatch.context() as patch:
        patch.setattr(key, "current_settings", lambda: ["another"])
        compute(caplog)
    assert not path.exists()
    assert kept(cache)


def test_a_function_that_depends_on_variables_around_it_is_not_kept(cache, caplog):
    factor = 3

    def scaled(number):
        return factor * number

    for _ in range(2):
        caplog.clear()
        assert compile_module.compiled(jit.entry()(scaled), types.int64)(7) == 21
        assert compiled([record.getMessage() for record in caplog.records]) == 1
    assert list(cache.rglob("*.nbc")) == []


# --- folders that cannot be written ---------------------------------------------------------------------


def not_kept(lines):
    return [line for line in lines if line.startswith("compiled kernels are not kept")]


def test_a_full_disk_is_told_once_and_nothing_fails(cache, caplog):
    resource = pytest.importorskip("resource", reason="the limit on files stands for a full disk")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        first, second = compute(caplog), compute(caplog)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    (line,) = not_kept(first)
    assert "File too large" in line
    assert "set NUMBA_CACHE_DIR to a folder" in line
    assert not not_kept(second)
    assert compiled(second) == 1
    assert [path for path in cache.rglob("*") if path.is_file()] == []


@pytest.mark.skipif(
    not os.path.isdir("/proc/self"), reason="/proc stands for a file system that is read-only"
)
def test_no_home_can_be_written(caplog, monkeypatch):
    use(monkeypatch, None)
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/self/home/.cache")
    lines = compute(caplog)
    (line,) = not_kept(lines)
    assert "/proc/self/home/.cache/convhub: " in line
    assert "set NUMBA_CACHE_DIR to a folder that has room, and that only you can write to" in line
    assert lines[1].endswith("test_store.doubled, not to be kept")
    assert not not_kept(compute(caplog))


@pytest.mark.skipif(
    not os.path.isdir("/proc/self"), reason="/proc stands for a file system that is read-only"
)
def test_the_folder_that_is_named_is_the_only_one(caplog, monkeypatch, tmp_path):
    use(monkeypatch, "/proc/self/kernels")
    (line,) = not_kept(compute(caplog))
    assert "NUMBA_CACHE_DIR is '/proc/self/kernels'" in line
    assert not (tmp_path / "user").exists()


@pytest.mark.skipif(
    not os.path.isdir("/proc/self"), reason="/proc stands for a file system that is read-only"
)
@pytest.mark.parametrize("newer", [False, True])
def test_without_a_home_nothing_is_kept_in_the_working_folder(newer, caplog, monkeypatch, tmp_path):
    def user_cache_dir(*_, **__):
        if newer:
            raise RuntimeError("could not determine the home directory for '~/.cache'")
        return "~/.cache/convhub"

    use(monkeypatch, None)
    monkeypatch.setattr("platformdirs.user_cache_dir", user_cache_dir)
    monkeypatch.chdir(tmp_path)
    (line,) = not_kept(compute(caplog))
    reason = "determine the home directory" if newer else "'~/.cache/convhub', which is no absolute path"
    assert reason in line
    assert not (tmp_path / "~").exists()


def test_without_a_named_folder_they_are_in_the_users_cache(monkeypatch, tmp_path):
    use(monkeypatch, None)
    found = location.place().folder
    assert found == str(tmp_path / "user" / "convhub" / "convhub_numba")
    assert stat.S_IMODE(os.stat(found).st_mode) & 0o022 == 0


# --- folders of others ----------------------------------------------------------------------------------


@needs_modes
@pytest.mark.parametrize("mode", [0o777, 0o757, 0o775])
@pytest.mark.parametrize("which", ["named", "inside"])
def test_a_folder_that_others_can_write_to_is_refused(which, mode, cache, caplog, monkeypatch):
    compute(caplog)
    path = kept(cache)
    FAULTS["a_pickle_that_runs_code"](path)
    monkeypatch.setattr(location, "_is_private", lambda group: False)
    (cache if which == "named" else path.parent).chmod(mode)
    use(monkeypatch, cache)
    content = path.read_bytes()
    lines = compute(caplog)
    assert compiled(lines) == 1
    (line,) = not_kept(lines)
    assert f"NUMBA_CACHE_DIR is '{cache}': everybody " in line
    assert not RAN
    assert path.read_bytes() == content


@needs_modes
@pytest.mark.parametrize("which", ["named", "inside", "file"])
def test_what_belongs_to_another_user_is_refused(which, cache, caplog, monkeypatch):
    compute(caplog)
    path = kept(cache)
    theirs = {"named": cache, "inside": path.parent, "file": path}[which]
    with monkeypatch.context() as patch:
        another = os.stat_result([*os.stat(theirs)[:4], 4242, *os.stat(theirs)[5:]])
        real_stat, real_fstat = os.stat, os.fstat
        inode = real_stat(theirs).st_ino
        patch.setattr(location.os, "stat", lambda p: another if p == str(theirs) else real_stat(p))
        patch.setattr(
            files.os, "fstat", lambda f: another if real_fstat(f).st_ino == inode else real_fstat(f)
        )
        use(monkeypatch, cache)
        lines = compute(caplog)
    assert compiled(lines) == 1
    assert any("it belongs to the user with the number 4242" in line for line in lines)
    assert bool(not_kept(lines)) == (which != "file")


@needs_modes
def test_a_file_that_others_can_write_to_is_replaced(cache, caplog):
    compute(caplog)
    path = kept(cache)
    path.chmod(0o666)
    lines = compute(caplog)
    assert f"{path} is passed over and will be replaced: ValueError: everybody can write to it" in lines
    assert stat.S_IMODE(path.stat().st_mode) & 0o022 == 0
    assert compute(caplog) == []


@needs_modes
def test_a_sticky_folder_may_be_named(cache, caplog):
    cache.mkdir()
    cache.chmod(0o1777)
    assert not not_kept(compute(caplog))
    assert compute(caplog) == []


@needs_modes
def test_a_group_of_one_user_is_trusted(monkeypatch):
    grp, pwd = pytest.importorskip("grp"), pytest.importorskip("pwd")
    me = os.geteuid()

    def group(name, *members):
        monkeypatch.setattr(grp, "getgrgid", lambda number: grp.struct_group((name, "x", number, [*members])))

    def user(number):
        monkeypatch.setattr(
            pwd, "getpwnam", lambda name: pwd.struct_passwd((name, "x", number, number, "", "/", ""))
        )

    group("ada")
    user(me)
    assert location._is_private(1000)
    group("ada", "ada", "eve")
    assert not location._is_private(1000)
    group("ada")
    user(me + 1)
    assert not location._is_private(1000)


def test_no_folder_comes_from_a_file_in_the_working_folder(tmp_path):
    """PyYAML lets Numba read the file; what lies in the folder that it names would run."""
    pytest.importorskip("yaml", reason="without PyYAML Numba reads no file")
    trap = tmp_path / "trap"
    trap.mkdir()
    (tmp_path / ".numba_config.yaml").write_text(f"cache_dir: {trap}\ncache_locator_classes: no.such.Class\n")
    code = (
        "import numba, convhub_numba.engine\n"
        "from convhub_numba.runtime.kernel_cache.location import place\n"
        "print(numba.config.CACHE_DIR, place().folder)"
    )
    environment = {key: value for key, value in os.environ.items() if key != "NUMBA_CACHE_DIR"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    numbas, ours = done.stdout.split()
    assert numbas == str(trap)
    assert ours == str(tmp_path / "user" / "convhub" / "convhub_numba")
    assert list(trap.iterdir()) == []
