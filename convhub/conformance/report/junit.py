"""Adds to JUnit XML what belongs to no test, so that it fails wherever the report does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

__all__ = ["add_errors"]


def add_errors(path: Path, errors: Sequence[str]) -> None:
    """Add errors to a file that pytest wrote, or write one if pytest did not come to that."""
    root = ElementTree.Element("testsuites")
    if path.exists():
        root = ElementTree.parse(path).getroot()
    count = str(len(errors))
    suite = ElementTree.SubElement(
        root, "testsuite", name="convhub", errors=count, failures="0", skipped="0", tests=count
    )
    for error in errors:
        case = ElementTree.SubElement(suite, "testcase", classname="convhub.conformance", name="the run")
        ElementTree.SubElement(case, "error", message=_printable(error.partition("\n")[0])).text = _printable(
            error
        )
    ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def _printable(text: str) -> str:
    """Return text without what XML cannot hold."""
    return "".join(one if one in "\n\t" or one.isprintable() else "�" for one in text)
