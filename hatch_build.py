"""The README as an index of packages shows it: each link and picture with the address of the repository.

On an index there is no file beside the page, so a relative link leads nowhere. Hatchling calls this when it
makes metadata. The address is ``Source`` of ``[project.urls]`` in pyproject.toml; a link leads to the version
that is built, by the tag that a release has.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

PICTURES = (".gif", ".jpg", ".png", ".svg", ".webp")

#: What is code is left alone: a fence of backquotes to its end, or what stands between two in a line.
_CODE = r"^```.*?^```$|`[^`\n]+`"
_CODE_OR_TARGET = re.compile(rf"(?P<code>{_CODE})|\]\((?P<target>[^)\s]+)\)", re.MULTILINE | re.DOTALL)


def with_absolute_links(text: str, source: str, tag: str) -> str:
    """Return Markdown whose relative links and pictures lead into a repository.

    Parameters
    ----------
    text : str
        Of a file that stands at the top of the repository.
    source : str
        The address of the repository.
    tag : str
        The tag or branch whose files are meant.

    Examples
    --------
    >>> with_absolute_links("[a](docs/a.md#b) ![c](c.png) `[e](e)`", "https://r.example", "v1")
    '[a](https://r.example/blob/v1/docs/a.md#b) ![c](https://r.example/raw/v1/c.png) `[e](e)`'
    """

    def absolute(match: re.Match[str]) -> str:
        target = match["target"]
        if match["code"] is not None or re.match(r"[a-z]+:|#", target):
            return match[0]
        suffix = PurePosixPath(target.partition("#")[0]).suffix
        kind = "raw" if suffix in PICTURES else "blob"
        return f"]({source}/{kind}/{tag}/{target})"

    return _CODE_OR_TARGET.sub(absolute, text)


class ReadmeHook(MetadataHookInterface):
    """Fills in ``readme``, which pyproject.toml calls dynamic."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Put the README into the metadata."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {
            "content-type": "text/markdown",
            "text": with_absolute_links(text, metadata["urls"]["Source"], f"v{metadata['version']}"),
        }
