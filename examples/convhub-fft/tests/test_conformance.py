"""Checks that the backend keeps every promise of ``convhub.backend``."""

from convhub.conformance import conformance_cases


@conformance_cases("fft", level="quick")
def test_conformance(case):
    case()
