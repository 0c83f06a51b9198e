"""Implements ``convhub cache``, which shows, removes, exports and imports compiled kernels."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from ...dispatch.dispatcher import current_dispatcher
from ...dispatch.names import check_name
from ..choices import CacheChoice
from ..json_output import STDOUT, JsonOption, check_writable, write_json
from ..kernel_archive import ArchivedKernel, read_archive, write_archive
from ..kernel_caches import Kept, kept_kernels, read_kernel, remove_kernel, write_kernel
from ..output import SHOWN, counted, new_table, print_error, show, show_rest

__all__ = ["cache"]

DAY = 24 * 3600

#: A row of what was done: a backend, the name of a kernel, and why it was not done.
Done = tuple[str, str, str | None]


def cache(
    action: Annotated[
        CacheChoice, typer.Argument(metavar="ACTION", help="show, prune, export or import.")
    ] = CacheChoice.show,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="The archive of export and import.", show_default=False),
    ] = None,
    backend: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only the kernels of this backend.", show_default=False)
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="prune: all kernels. export: those that are out of date too.")
    ] = False,
    max_bytes: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            help="prune: also those of each backend that were used longest ago, down to N bytes.",
            show_default=False,
        ),
    ] = None,
    older_than: Annotated[
        float | None,
        typer.Option(
            metavar="DAYS", min=0, help="prune: also kernels that were not used for DAYS.", show_default=False
        ),
    ] = None,
    json_file: JsonOption = None,
) -> None:
    """Show, remove, export or import the compiled kernels that backends keep between processes.

    With show, or no ACTION, they are counted, and so are those that are out of date: compiled from other
    sources, by other versions, or for another processor. prune removes those that are out of date. export
    writes the others into FILE, and import reads such a file, perhaps on another machine; it refuses each
    kernel that is not as it was written. Kernels are code that runs: import only what you would install.

    Exit code 1 if something could not be done.
    """
    _check_arguments(action, file, everything, max_bytes, older_than)
    dispatcher = current_dispatcher()
    if backend is not None:
        check_name(backend, "--backend", dispatcher)
    found = [kept for kept in kept_kernels(dispatcher) if backend in (None, kept.name)]
    done: list[Done] = []
    if action is CacheChoice.prune:
        done = [row for kept in found for row in _prune(kept, everything, max_bytes, older_than)]
    elif file is not None:
        transfer = _export if action is CacheChoice.export else _import
        done = list(transfer(found, file, everything))
    if action in (CacheChoice.prune, CacheChoice.import_):
        found = [kept for kept in kept_kernels(dispatcher) if backend in (None, kept.name)]
    if json_file is not None:
        write_json(_json(action, found, done), json_file)
    if json_file != STDOUT:
        _show(action, found, done)
    failed = [row for row in done if row[2] is not None]
    for name, kernel, reason in failed[:SHOWN]:
        print_error(f"{_FAILED[action]}: {kernel} of {name}: {reason}")
    if failed:
        raise typer.Exit(1)


_FAILED = {
    CacheChoice.prune: "not removed",
    CacheChoice.export: "not exported",
    CacheChoice.import_: "refused",
}
_DONE = {
    CacheChoice.prune: "Removed",
    CacheChoice.export: "Exported",
    CacheChoice.import_: "Imported",
}


def _check_arguments(
    action: CacheChoice, file: Path | None, everything: bool, max_bytes: int | None, older_than: float | None
) -> None:
    """Refuse arguments that do not belong to the action, before anything is done."""
    archives = action in (CacheChoice.export, CacheChoice.import_)
    if archives != (file is not None):
        need = (
            f"{action.value} needs a FILE"
            if archives
            else f"{action.value} takes no FILE, and it is {str(file)!r}"
        )
        raise typer.BadParameter(need)
    if everything and action not in (CacheChoice.prune, CacheChoice.export):
        raise typer.BadParameter(f"--all belongs to prune and export, not to {action.value}")
    for option, value in (("--max-bytes", max_bytes), ("--older-than", older_than)):
        if value is not None and action is not CacheChoice.prune:
            raise typer.BadParameter(f"{option} belongs to prune, not to {action.value}")
    if action is CacheChoice.export and file is not None:
        check_writable("FILE", file)


def _prune(kept: Kept, everything: bool, max_bytes: int | None, older_than: float | None) -> Iterator[Done]:
    oldest = float("-inf") if older_than is None else time.time() - older_than * DAY
    left = 0
    for kernel in sorted(kept.kernels, key=lambda kernel: -kernel.used):
        fits = max_bytes is None or left + kernel.size <= max_bytes
        if everything or kernel.outdated is not None or kernel.used < oldest or not fits:
            yield _attempt(kept, kernel.name, remove_kernel, kept, kernel.name)
        else:
            left += kernel.size


def _export(found: list[Kept], file: Path, everything: bool) -> Iterator[Done]:
    done: list[Done] = []

    def kernels() -> Iterator[ArchivedKernel]:
        for kept in found:
            for kernel in kept.kernels:
                if not everything and kernel.outdated is not None:
                    continue
                try:
                    content = read_kernel(kept, kernel.name)
                except (OSError, ValueError) as error:
                    done.append((kept.name, kernel.name, _reason(error)))
                else:
                    done.append((kept.name, kernel.name, None))
                    yield ArchivedKernel(kept.name, kernel.name, content)

    write_archive(file, kernels())
    yield from done


def _import(found: list[Kept], file: Path, _: bool) -> Iterator[Done]:
    caches = {kept.name: kept for kept in found}
    for kernel in read_archive(file):
        kept = caches.get(kernel.backend)
        if kernel.refusal is not None:
            yield kernel.backend, kernel.name, kernel.refusal
        elif kept is None:
            yield kernel.backend, kernel.name, "no backend of that name keeps kernels here"
        elif kept.folder is None:
            yield kernel.backend, kernel.name, kept.reason
        else:
            yield _attempt(kept, kernel.name, write_kernel, kept, kernel.name, kernel.content)


def _attempt(kept: Kept, kernel: str, function: Callable[..., None], *arguments: Any) -> Done:
    """Call a function for one kernel, and return why it failed, if it did."""
    try:
        function(*arguments)
    except (OSError, ValueError) as error:
        return kept.name, kernel, _reason(error)
    return kept.name, kernel, None


def _reason(error: OSError | ValueError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def _json(action: CacheChoice, found: list[Kept], done: list[Done]) -> dict[str, Any]:
    return {
        "action": action.value,
        "caches": [
            {
                "backend": kept.name,
                "folder": kept.folder,
                "reason": kept.reason,
                "kernels": len(kept.kernels),
                "bytes": kept.size,
                "outdated": len(kept.outdated),
                "entries": [
                    {
                        "name": kernel.name,
                        "bytes": kernel.size,
                        "used": time.strftime("%Y-%m-%d", time.gmtime(kernel.used)),
                        "outdated": kernel.outdated,
                    }
                    for kernel in kept.kernels
                ],
            }
            for kept in found
        ],
        "done": [{"backend": name, "kernel": kernel, "failure": reason} for name, kernel, reason in done],
    }


def _show(action: CacheChoice, found: list[Kept], done: list[Done]) -> None:
    if action in _DONE:
        count = sum(reason is None for *_, reason in done)
        show(f"{_DONE[action]} {counted(count, 'kernel')}.")
        show_rest(len(done) - count, "that failed")
    if not found:
        show("No backend keeps compiled kernels.")
        return
    table = new_table(
        "Backend", "Kernels", "Size", "Usable here", "Out of date", "Folder", flexible={"Folder": 20}
    )
    for kept in found:
        count, outdated = len(kept.kernels), len(kept.outdated)
        size = f"{kept.size / 2**20:.1f} MiB"
        cells = (str(count), size, str(count - outdated), str(outdated)) if kept.folder else ("-",) * 4
        table.add_row(Text(kept.name, style="bold"), *cells, kept.folder or f"none: {kept.reason}")
    show(table)
    for reason, count in _reasons(found).items():
        show(f"{count} out of date: {reason}")


def _reasons(found: list[Kept]) -> dict[str, int]:
    """Return the reasons why kernels are out of date, with the number of kernels."""
    counts: dict[str, int] = {}
    for kept in found:
        for kernel in kept.outdated:
            counts[str(kernel.outdated)] = counts.get(str(kernel.outdated), 0) + 1
    return counts
