"""Finds the line of each key and array element in a TOML file, which `tomllib` does not give.

`tomllib` has parsed the text before, so it is known to be valid, and anything not needed to follow keys and
brackets is skipped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Path", "lines_of"]

#: The keys that lead to a value from the top of the file; elements of arrays have their index.
Path = tuple[str | int, ...]

_TOKEN = re.compile(
    r'''
    [ \t\r]+ | \#[^\n]*
    | (?P<string> """ (?: [^"\\] | \\. | "(?!"") )* "{3,5} | \'\'\' (?: [^'] | '(?!\'\') )* '{3,5}
                | " (?: [^"\\n] | \\. )* " | '[^'\n]*' )
    | (?P<mark> [\[\]{}=,.\n] )
    | (?P<bare> [^\s\[\]{}=,."'\#]+ )
    ''',
    re.VERBOSE | re.DOTALL,
)


class _Token(NamedTuple):
    text: str
    line: int
    is_mark: bool


def lines_of(text: str) -> dict[Path, int]:
    r"""Return the line, from 1, on which each key, table and element of an array is first named.

    Parameters
    ----------
    text : str
        A valid TOML document.

    Examples
    --------
    >>> lines_of("a.b = 1\n[c]\nd = [\n  2,\n  {e = 3},\n]")[("c", "d", 1, "e")]
    5
    """
    scanner = _Scanner(text)
    scanner.document()
    return scanner.lines


class _Scanner:
    """Walks through the tokens of a document; `at` is the index of the next, `lines` has the lines found."""

    def __init__(self, text: str) -> None:
        self.tokens = [*_tokens(text)]
        self.at = 0
        self.lines: dict[Path, int] = {}

    def document(self) -> None:
        table: Path = ()
        tables: dict[Path, int] = {}  # the last index in each array of tables
        while self.at < len(self.tokens):
            if self._skip("\n"):
                continue
            if self._skip("["):
                table = self._header(tables)
            else:
                self._pair(table)

    def _header(self, tables: dict[Path, int]) -> Path:
        line = self.tokens[self.at].line
        is_array = self._skip("[")
        keys = self._key()
        path: Path = ()
        for number, key in enumerate(keys, 1):
            path = (*path, key)
            self.lines.setdefault(path, line)
            if path in tables and not (is_array and number == len(keys)):
                path = (*path, tables[path])
        if is_array:
            tables[path] = tables.get(path, -1) + 1
            path = (*path, tables[path])
            self.lines[path] = line
        while self._skip("]"):
            pass
        return path

    def _pair(self, table: Path) -> None:
        line = self.tokens[self.at].line
        path = table
        for key in self._key():
            path = (*path, key)
            self.lines.setdefault(path, line)
        self._skip("=")
        self._value(path)

    def _key(self) -> list[str]:
        parts = [self._part()]
        while self._skip("."):
            parts.append(self._part())
        return parts

    def _part(self) -> str:
        text = self.tokens[self.at].text
        self.at += 1
        if text[0] == "'":
            return text[1:-1]
        if text[0] == '"':
            import tomllib

            return str(tomllib.loads(f"key = {text}")["key"])  # it may have escapes
        return text

    def _value(self, path: Path) -> None:
        if self._skip("["):
            index = 0
            while not self._skip("]"):
                if not (self._skip("\n") or self._skip(",")):
                    self.lines[*path, index] = self.tokens[self.at].line
                    self._value((*path, index))
                    index += 1
        elif self._skip("{"):
            while not self._skip("}"):
                if not (self._skip("\n") or self._skip(",")):
                    self._pair(path)
        else:
            # A number may hold a point and a date a blank, so one value may be several tokens.
            while self.at < len(self.tokens) and self.tokens[self.at].text not in (",", "]", "}", "\n"):
                self.at += 1

    def _skip(self, mark: str) -> bool:
        found = self.at < len(self.tokens) and self.tokens[self.at] == (mark, self.tokens[self.at].line, True)
        self.at += found
        return found


def _tokens(text: str) -> Iterator[_Token]:
    line, counted = 1, 0
    for match in _TOKEN.finditer(text):
        if match.lastgroup is not None:
            line += text.count("\n", counted, match.start())
            counted = match.start()
            yield _Token(match[0], line, match.lastgroup == "mark")
