"""What is listed of the compiled kernels, and what another cache takes of them."""

import json
import os
from pathlib import Path
from typing import NamedTuple

import pytest

pytest.importorskip("numba", reason="the engine under test is made of Numba")

import convhub_numba
from convhub_numba.runtime import compile as compile_module
from convhub_numba.runtime import interrupts
from convhub_numba.runtime.kernel_cache import contents, files, key, location, sources
from convhub_numba.runtime.kernel_cache.key import KernelKey
from numba import types

from convhub.backend import CachedKernel

CACHE = convhub_numba.backend.kernel_cache

#: A small kernel of the engine itself.
KERNEL, SIGNATURE = interrupts.told_to_stop, (types.int64,)


@pytest.fixture
def use(monkeypatch):
    """Return the function that has this process use another folder, as a new process would find it."""

    def use_(folder):
        monkeypatch.setenv("NUMBA_CACHE_DIR", str(folder))
        location.place.cache_clear()
        monkeypatch.setattr(compile_module, "_results", {})

    yield use_
    location.place.cache_clear()


@pytest.fixture
def kept(use, tmp_path):
    """Write the file of one kernel, which holds no machine code, and return its path."""
    use(tmp_path / "cache")
    its_key = key.kernel_key(KERNEL, SIGNATURE)
    path = Path(CACHE.folder(), its_key.file_name)
    path.write_bytes(files.packed(files.KernelFile(its_key.encoded(), b"machine code")))
    return path


def rewrite(path, **changes):
    """Write the same kernel with another key, and return its name."""
    whole = files.unpacked(path.read_bytes())
    other = KernelKey.decoded(whole.key)._replace(**changes)
    path.unlink()
    path = path.with_name(other.file_name)
    path.write_bytes(files.packed(whole._replace(key=other.encoded())))
    return path.name


def test_an_entry_says_its_name_size_and_age(kept):
    os.utime(kept, (0, 1234.0))
    assert CACHE.folder() == str(kept.parent)
    assert CACHE.entries() == [CachedKernel(name=kept.name, size=kept.stat().st_size, used=1234.0)]
    assert kept.name.startswith("convhub_numba.runtime.interrupts.told_to_stop-")
    CACHE.remove(kept.name)
    CACHE.remove(kept.name)
    assert CACHE.entries() == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"target": ["riscv64", "rocket", ""]}, "it is for another processor, rocket on riscv64"),
        ({"versions": ["cpython 3.11", "numba 0.1"]}, "it was compiled by cpython 3.11, numba 0.1"),
        ({"settings": ["OPT=0"]}, "it was compiled with other settings of Numba"),
        ({"sources": "0" * 64}, "its source has changed"),
        ({"fields": {"convhub_numba.correlation:Sizes": ["n", "c"]}}, "its source has changed"),
        ({"fields": {"convhub_numba.correlation:Gone": ["n"]}}, "its source has changed"),
        ({"module": "convhub_numba.gone"}, "its source is not there: convhub_numba.gone has no file"),
        ({"module": "json"}, "its kernel is not one of this engine"),
    ],
)
def test_why_a_kernel_is_out_of_date(kept, changes, reason):
    name = rewrite(kept, **changes)
    assert [(entry.name, entry.outdated) for entry in CACHE.entries()] == [(name, reason)]


def test_other_features_of_the_processor_count(kept):
    target = KernelKey.decoded(files.unpacked(kept.read_bytes()).key).target
    rewrite(kept, target=[*target[:2], "+mmx"])
    assert CACHE.entries()[0].outdated == "it is for a processor with other features"


@pytest.mark.parametrize("content", [b"", b"text", files.MAGIC, files.MAGIC + bytes(40), os.urandom(300)])
def test_a_foreign_file_is_out_of_date(kept, content):
    kept.write_bytes(content)
    assert CACHE.entries()[0].outdated == "it is no compiled kernel of this engine"


def test_a_kernel_moves_to_another_cache(kept, use, tmp_path):
    content = CACHE.read(kept.name)
    use(tmp_path / "other")
    assert CACHE.entries() == []
    CACHE.write(kept.name, content)
    assert Path(CACHE.folder(), kept.name).read_bytes() == content
    assert [entry.outdated for entry in CACHE.entries()] == [None]


@pytest.mark.parametrize("name", ["../a.nbc", "/tmp/a.nbc", "a.nbc/b", "a.txt", ""])
def test_names_with_folders_and_of_other_files_are_refused(kept, name):
    content = kept.read_bytes()
    for function in (CACHE.read, CACHE.remove, lambda name: CACHE.write(name, content)):
        with pytest.raises(ValueError, match="its name is not that of a kernel"):
            function(name)


def test_damaged_content_and_other_names_are_refused(kept):
    content = kept.read_bytes()
    with pytest.raises(ValueError, match="it is not as it was written"):
        CACHE.write(kept.name, content[:-1])
    with pytest.raises(ValueError, match="not the one that follows from its content"):
        CACHE.write("other-0.nbc", content)
    foreign = files.packed(files.KernelFile(json.dumps({"module": 1}).encode(), b""))
    with pytest.raises(ValueError, match="no compiled kernel"):
        CACHE.write(kept.name, foreign)
    kept.write_bytes(content[:-1])
    with pytest.raises(ValueError, match="it is not as it was written"):
        CACHE.read(kept.name)


def test_without_a_folder_the_reason_is_raised(use):
    use("/dev/null/kernels")
    with pytest.raises(OSError, match="NUMBA_CACHE_DIR is '/dev/null/kernels'"):
        CACHE.folder()


def test_the_fields_of_named_tuples_count_wherever_they_are():
    """The text of a type has the name and the length of a named tuple, and not the order of its fields."""
    one, other = (NamedTuple("Sizes", [(field, int) for field in fields]) for fields in ("nc", "cn"))
    kinds = [types.NamedUniTuple(types.int64, 2, sizes) for sizes in (one, other)]
    assert str(kinds[0]) == str(kinds[1])
    for signatures in ([(kind,) for kind in kinds], [(types.Tuple((types.int64, kind)),) for kind in kinds]):
        first, second = (key.kernel_key(KERNEL, signature) for signature in signatures)
        assert first.types == second.types
        assert first.file_name != second.file_name


def test_every_module_of_kernels_can_be_asked():
    """`entries` looks for the source of any kernel of the engine, imported or not."""
    assert sources.source_digest("convhub_numba.algorithms.winograd.kernels")
    assert contents.folder()
