"""Defines a third-party cache of compiled kernels for tests: files whose content begins with their name."""

from __future__ import annotations

import pathlib

from convhub.backend import CachedKernel, KernelCache


def toy_kernel_cache(folder):
    """Return a cache in a folder; a kernel is out of date if its content says so."""
    folder = pathlib.Path(folder)

    def find(name):
        if "/" in name or not name.endswith(".toy"):
            raise ValueError("its name is not that of a kernel")
        return folder / name

    def entries():
        return [
            CachedKernel(
                name=path.name,
                size=path.stat().st_size,
                used=path.stat().st_mtime,
                outdated="it is for another toy" if b"old" in path.read_bytes() else None,
            )
            for path in sorted(folder.glob("*.toy"))
        ]

    def write(name, content):
        if not content.startswith(name.encode()):
            raise ValueError("it belongs to another name")
        find(name).write_bytes(content)

    return KernelCache(
        folder=lambda: str(folder),
        entries=entries,
        remove=lambda name: find(name).unlink(missing_ok=True),
        read=lambda name: find(name).read_bytes(),
        write=write,
    )
