"""Describes the machine of a measurement, without which its numbers mean nothing."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

from .cores import available_cores
from .gpu import Gpu

__all__ = ["Machine", "this_machine"]

#: The CPU flags, as Linux lists them, that matter to a convolution.
VECTOR_FLAGS = ("avx", "avx2", "fma", "avx512f", "avx512_bf16", "avx512_fp16", "amx_tile", "asimd", "sve")

#: A machine is busy from this load on.
BUSY = 0.5


@dataclass(frozen=True, slots=True)
class Machine:
    """A processor, the GPU that was timed if one was, and the releases that ran on it.

    `cores` are those that the process may run on. `load` is the average number of runnable threads in the
    minute before. If the system does not provide them, `flags` is empty and `load` None.
    """

    cpu: str
    cores: int
    flags: tuple[str, ...]
    system: str
    versions: dict[str, str]
    load: float | None = None
    gpu: Gpu | None = None

    @property
    def chip(self) -> str:
        """The name of the timed processor or GPU."""
        return self.cpu if self.gpu is None else self.gpu.name

    @property
    def busy(self) -> bool:
        """Whether something else seems to run on the timed chip, so that times mean little."""
        if self.gpu is not None:
            return self.gpu.busy
        return self.load is not None and self.load >= BUSY

    def __str__(self) -> str:
        flags = f", {' '.join(self.flags)}" if self.flags else ""
        load = "" if self.load is None else f"; load {self.load:.2f} before"
        return f"{self.cpu}, {self.cores} cores{flags}; {self.system}{load}"


def this_machine(versions: dict[str, str], gpu: Gpu | None = None) -> Machine:
    """Describe this machine; `versions` are those of the relevant distributions."""
    facts = _cpuinfo()
    flags = set(facts.get("flags", facts.get("Features", "")).split())
    return Machine(
        cpu=facts.get("model name") or platform.processor() or platform.machine(),
        cores=available_cores(),
        flags=tuple(flag for flag in VECTOR_FLAGS if flag in flags),
        system=f"{platform.system()} {platform.machine()}",
        versions={"python": platform.python_version()} | versions,
        load=round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        gpu=gpu,
    )


def _cpuinfo() -> dict[str, str]:
    """Return the fields of the first processor that Linux lists; empty on other systems."""
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8", errors="replace").partition("\n\n")[0].splitlines()
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
