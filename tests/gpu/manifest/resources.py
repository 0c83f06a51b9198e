"""What each kernel takes of a multiprocessor, read from what the assembler says with ``-v``."""

from __future__ import annotations

import re
from typing import NamedTuple


class Resources(NamedTuple):
    """What one kernel takes: registers and bytes of local memory a thread, bytes of shared memory a block.

    The stack holds what is spilled, and arrays whose index is not known when compiling. Shared memory is what
    the kernel declares, without the 1024 bytes that the system keeps of each block from sm_90 on. Constant
    memory is counted as far as the assembler tells, which it does not from sm_90 on.
    """

    registers: int
    shared: int
    stack: int
    spill_stores: int
    spill_loads: int
    constant: int

    @property
    def spills(self) -> int:
        """Bytes that a thread stores and loads because registers ran out."""
        return self.spill_stores + self.spill_loads


_ENTRY = re.compile(r"Compiling entry function '([^']+)'")
_FUNCTION = re.compile(r"Function properties for (\S+)")
_FRAME = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_USED = re.compile(r"Used (\d+) registers(.*)")


def resources_in(log: str) -> dict[str, Resources]:
    """Return the resources of each kernel in a log, by its name in the machine code.

    A function that is called, not inlined, has a frame of its own, whose spills count for every kernel of the
    source: the log does not tell who calls it.
    """
    entry = function = ""
    frames: dict[str, tuple[int, int, int]] = {}
    used: dict[str, tuple[int, str]] = {}
    for line in log.splitlines():
        if match := _ENTRY.search(line):
            entry = match[1]
        elif match := _FUNCTION.search(line):
            function = match[1]
        elif match := _FRAME.search(line):
            frames[function] = (int(match[1]), int(match[2]), int(match[3]))
        elif match := _USED.search(line):
            used[entry] = (int(match[1]), match[2])
    called = [frame for name, frame in frames.items() if name not in used]
    return {
        name: Resources(
            registers=registers,
            shared=_sum(r"(\d+) bytes smem", rest),
            stack=max(frames[name][0], _sum(r"(\d+) bytes cumulative stack size", rest)),
            spill_stores=frames[name][1] + sum(frame[1] for frame in called),
            spill_loads=frames[name][2] + sum(frame[2] for frame in called),
            constant=_sum(r"(\d+) bytes cmem", rest),
        )
        for name, (registers, rest) in used.items()
    }


def warnings_in(log: str) -> list[str]:
    """Return the lines in which the compiler or the assembler warn."""
    return [line for line in log.splitlines() if "warning" in line]


def _sum(pattern: str, text: str) -> int:
    return sum(int(number) for number in re.findall(pattern, text))
