"""Runs the suite on every backend, or on those that ``--convhub-backend`` names."""

from __future__ import annotations

from convhub.conformance import conformance_cases
from convhub.conformance.suite import Case


@conformance_cases()
def test_conformance(case: Case) -> None:
    """Keep the promises of `convhub.backend`."""
    case()
