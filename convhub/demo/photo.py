"""Decomposes a photograph by filters and rebuilds it, on every backend."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from .. import api
from ..dispatch import candidates
from ..errors import UnsupportedProblemError
from ..explanation import explain
from ..problem import Problem
from .bound import fraction_of_bound, greatest_growth, reference
from .filters import FRAME_STRIDE, cosine_frame, gabor_bank
from .torch_direct import ITSELF, is_installed, torch_call

__all__ = ["JOBS", "Job", "Report", "Size", "jobs_of", "photograph", "psnr", "run", "strongest"]

JOBS = ("take apart", "rebuild", "edges")

Array = NDArray[Any]
Size = tuple[int, int]
Runs = dict[str, Callable[[], Array]]


class Job(NamedTuple):
    """One call, by the name of its function, for both convhub and torch."""

    operation: str
    image: Array
    weight: Array
    options: dict[str, Any]

    def run(self, backend: str) -> Array:
        """Return convhub's result."""
        function = getattr(api, self.operation)
        return function(self.image, self.weight, **self.options, backend=backend)  # type: ignore[no-any-return]

    @property
    def problem(self) -> Problem:
        """The problem that the call computes."""
        function = getattr(api, self.operation)
        return explain(function, self.image, self.weight, **self.options).parts[0].problem


@dataclass(frozen=True, slots=True)
class Report:
    """The results: times in milliseconds and errors as fractions of the bound, by backend and job.

    `sizes` has the rows and columns on which each backend ran. `coefficients`, `edges`, `rebuilt` and `few`
    are those of the backend `drawn_by`; `psnr`, in dB, compares the latter two with the photograph.
    """

    photograph: Array
    coefficients: Array
    edges: Array
    rebuilt: Array
    few: Array
    drawn_by: str
    kept: float
    psnr: dict[str, float]
    sizes: dict[str, Size]
    milliseconds: dict[str, dict[str, float]]
    fractions: dict[str, dict[str, float]]
    pixels_changed: dict[str, int]
    gigamacs: dict[str, float]
    rounds: int
    declined: dict[str, str] = field(default_factory=dict)

    @property
    def failures(self) -> list[str]:
        """One line for each backend whose picture is wrong."""
        lines = [
            f"{backend}: {job!r} of the photograph is {value:.3g} times the bound away from float64"
            for backend, jobs in self.fractions.items()
            for job, value in jobs.items()
            if not value <= 1
        ]
        lines += [
            f"{backend}: the rebuilt photograph differs in {count} values"
            for backend, count in self.pixels_changed.items()
            if count
        ]
        return lines


def photograph(name: str = "china.jpg") -> Array:
    """Return a photograph that comes with scikit-learn, (1, 3, H, W), float32 from 0 to 1.

    Rows and columns are cropped to a multiple of 8, so that four windows cover every pixel.
    """
    from sklearn.datasets import load_sample_image

    picture = load_sample_image(name)
    height, width = (side // 8 * 8 for side in picture.shape[:2])
    planes = picture[:height, :width].transpose(2, 0, 1)[None]
    return np.ascontiguousarray(planes, np.float32) / np.float32(255)


def jobs_of(picture: Array, backend: str) -> dict[str, Job]:
    """Return the three calls on one picture, (1, 3, H, W); `backend` computes the coefficients to rebuild."""
    frame, options = cosine_frame(), {"stride": FRAME_STRIDE, "padding": FRAME_STRIDE}
    apart = Job("conv2d", picture, frame, options)
    gabor = gabor_bank()
    around = gabor.shape[-1] // 2
    # Mirrored at the border: zeros would be an edge that the picture does not have.
    grey = np.pad(
        picture.mean(1, keepdims=True), ((0, 0), (0, 0), (around, around), (around, around)), "reflect"
    )
    return {
        "take apart": apart,
        "rebuild": Job("conv_transpose2d", apart.run(backend), frame, options),
        "edges": Job("conv2d", grey, gabor, {"stride": 2}),
    }


def run(
    console: Console,
    picture: Array | None = None,
    small: Size = (16, 24),
    rounds: int = 7,
    patience: float = 60.0,
    share: float = 0.03,
) -> Report:
    """Run the jobs on every backend that can run on the CPU, and on torch.

    Parameters
    ----------
    console : rich.console.Console
        Where progress is shown.
    picture : array, shape (1, 3, H, W), optional
        By default scikit-learn's photograph of a Chinese temple.
    small : (int, int)
        Rows and columns in the middle, for backends that are too slow for the whole picture.
    rounds : int
        How often each job is timed; the least time counts.
    patience : float
        The seconds that one round over the whole picture may take by forecast, which is far too high for fast
        backends. A backend that has actually taken a sixth of that is not timed again.
    share : float
        The fraction of the coefficients to keep in the picture that is rebuilt from a few.

    Raises
    ------
    UnsupportedProblemError
        If no backend runs the jobs on the whole picture in that time.
    """
    picture = photograph() if picture is None else picture
    piece = _middle(picture, small)
    declined: dict[str, str] = {}
    slow: list[str] = []
    quick: list[str] = []
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        warming = progress.add_task("photograph: warming up", total=None)
        for backend in candidates.available_backends("cpu"):
            try:
                (quick if _forecast(backend, picture) <= patience else slow).append(backend)
            except UnsupportedProblemError as refusal:
                declined[backend] = str(refusal)
        progress.remove_task(warming)
        if not quick:
            raise UnsupportedProblemError(
                f"no backend filters a picture of {picture.shape} within {patience} s: {slow} are too slow, "
                f"and {list(declined)} decline it; convhub[numba] brings one that can"
            )
        drawn_by = quick[0]
        whole, part = jobs_of(picture, drawn_by), jobs_of(piece, drawn_by)
        runs = {backend: _runs(backend, whole) for backend in quick}
        if is_installed():
            runs[ITSELF] = _torch_runs(whole)
        small_runs = {backend: _runs(backend, part) for backend in slow}
        task = progress.add_task("photograph: comparing with float64", total=2 * len(JOBS))
        fractions, changed = _compare(runs, whole, lambda: progress.advance(task))
        small_fractions, small_changed = _compare(small_runs, part, lambda: progress.advance(task))
        task = progress.add_task("photograph: timing", total=(rounds + 1) * len(JOBS))
        milliseconds = _time(runs, rounds, patience / 6, lambda: progress.advance(task))
        milliseconds |= _time(small_runs, 1, patience, lambda: progress.advance(task))
    coefficients = whole["rebuild"].image
    rebuilt = whole["rebuild"].run(drawn_by)
    few = strongest(coefficients, share)
    from_few = whole["rebuild"]._replace(image=few).run(drawn_by)
    return Report(
        photograph=picture[0],
        coefficients=coefficients[0],
        edges=whole["edges"].run(drawn_by)[0],
        rebuilt=rebuilt[0],
        few=from_few[0],
        drawn_by=drawn_by,
        kept=share,
        psnr={"rebuilt": psnr(rebuilt, picture), "few": psnr(from_few, picture)},
        sizes=dict.fromkeys(runs, picture.shape[2:]) | dict.fromkeys(small_runs, piece.shape[2:]),
        milliseconds=milliseconds,
        fractions=fractions | small_fractions,
        pixels_changed=changed | small_changed,
        gigamacs={name: job.problem.macs / 1e9 for name, job in whole.items()},
        rounds=rounds,
        declined=declined,
    )


def strongest(coefficients: Array, share: float) -> Array:
    """Return `coefficients` with all but the largest, that share of them, set to 0."""
    sizes = np.abs(coefficients)
    count = max(1, round(share * coefficients.size))
    least = np.partition(sizes, -count, axis=None)[-count]
    return np.where(sizes >= least, coefficients, 0)


def psnr(picture: Array, original: Array) -> float:
    """Return the ratio of peak signal (1) to noise, in dB."""
    error = np.mean((picture.astype(np.float64) - original) ** 2)
    return float(-10 * np.log10(error)) if error else float("inf")


def _middle(picture: Array, size: Size) -> Array:
    top, left = ((side - wanted) // 2 for side, wanted in zip(picture.shape[2:], size, strict=True))
    return np.ascontiguousarray(picture[..., top : top + size[0], left : left + size[1]])


def _runs(backend: str, jobs: dict[str, Job]) -> Runs:
    return {name: functools.partial(job.run, backend) for name, job in jobs.items()}


def _torch_runs(jobs: dict[str, Job]) -> Runs:
    return {name: torch_call(*job) for name, job in jobs.items()}


def _forecast(backend: str, picture: Array) -> float:
    """Estimate from pieces how many seconds one round takes at most; the first run may compile."""
    seconds = 0.0
    for size in ((8, 8), (32, 48)):
        jobs = jobs_of(_middle(picture, size), backend)
        for job in jobs.values():
            job.run(backend)
        rounds: list[float] = []
        # A fast backend may be disturbed; a slow one need not be timed twice.
        while len(rounds) < 5 and sum(rounds) < 0.3:
            start = time.perf_counter()
            for job in jobs.values():
                job.run(backend)
            rounds.append(time.perf_counter() - start)
        seconds = min(rounds) * _windows(picture.shape[2:]) / _windows(size)
        # On the smallest piece most of the time may be the overhead of calls, which does not grow with it.
        if min(rounds) >= 0.3:
            break
    return seconds


def _windows(size: tuple[int, ...]) -> int:
    return (size[0] // FRAME_STRIDE + 1) * (size[1] // FRAME_STRIDE + 1)


def _compare(
    runs: dict[str, Runs], jobs: dict[str, Job], tick: Callable[[], None]
) -> tuple[dict[str, dict[str, float]], dict[str, int]]:
    """Return each backend's errors by job as fractions of the bound, and the pixel values that change."""
    fractions: dict[str, dict[str, float]] = {backend: {} for backend in runs}
    changed: dict[str, int] = {}
    levels = np.rint(jobs["take apart"].image * 255)
    for name, job in jobs.items():
        tick()
        if not runs:
            continue
        right = reference(job.problem, job.image, job.weight)
        for backend, run_job in runs.items():
            result = run_job[name]()
            fractions[backend][name] = fraction_of_bound(result, right, backend, greatest_growth)
            if name == "rebuild":
                changed[backend] = int((np.rint(result * 255) != levels).sum())
    return fractions, changed


def _time(
    runs: dict[str, Runs], rounds: int, patience: float, tick: Callable[[], None]
) -> dict[str, dict[str, float]]:
    """Return the least milliseconds of each; backends take turns, so that load affects all alike."""
    best: dict[str, dict[str, float]] = {backend: {} for backend in runs}
    spent = dict.fromkeys(runs, 0.0)
    for _ in range(rounds):
        for name in JOBS:
            for backend, run_job in runs.items():
                if spent[backend] > patience and name in best[backend]:
                    continue
                start = time.perf_counter()
                run_job[name]()
                seconds = time.perf_counter() - start
                spent[backend] += seconds
                best[backend][name] = min(seconds * 1e3, best[backend].get(name, seconds * 1e3))
            tick()
    return best
