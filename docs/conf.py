"""Configures Sphinx to build these pages: offline, each warning an error, tutorials executed.

``make docs`` builds them. Pages are Markdown by MyST; those whose front matter says ``file_format: mystnb``
are notebooks, and are executed. Extensions for convhub are in ``_ext/``, one file for each idea.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path.insert(0, str(HERE / "_ext"))

# Tutorials show convhub's defaults, not the configuration of the machine that builds them.
for name in [name for name in os.environ if name.startswith("CONVHUB_")]:
    del os.environ[name]
os.environ["XDG_CONFIG_HOME"] = str(HERE / "_build" / "no-configuration")

project = "convhub"
author = "The convhub developers"
copyright = "The convhub developers, BSD-3-Clause"  # noqa: A001 - Sphinx's name
version = release = importlib.metadata.version("convhub")

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "algorithm_table",
    "backend_table",
    "command_examples",
    "command_reference",
    "mathml",
    "public_names",
    "settings_table",
    "source_pages",
    "tables_by_commands",
]
exclude_patterns = ["_build", "images/README.md"]

# --- pages --------------------------------------------------------------------------------------------------

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4
smartquotes = False  # readers copy quoted text

#: Files outside of docs/ that are also pages, to which links to them lead.
source_pages = {
    "README.md": "index",
    "CHANGELOG.md": "changelog",
    "CONTRIBUTING.md": "contributing",
    "SECURITY.md": "security",
    "examples/convhub-fft/README.md": "examples/convhub-fft",
}

# --- notebooks ----------------------------------------------------------------------------------------------


def _digest() -> str:
    """Return a digest of convhub's code, of its libraries' versions, and of the files that notebooks read."""
    found = hashlib.sha256()
    code = [path for folder in ("convhub", "backends") for path in (ROOT / folder).rglob("*")]
    for path in sorted(
        path for path in code if path.suffix in (".py", ".cu", ".cuh", ".h", ".csv", ".toml", ".txt")
    ):
        found.update(path.read_bytes())
    # The front page compares its numbers with those of other pages.
    for path in sorted([*HERE.glob("*.md"), *HERE.glob("benchmarks/*.md")]):
        found.update(path.read_bytes())
    for package in ("numpy", "numba", "torch", "matplotlib", "pillow", "scikit-learn"):
        found.update(f"{package} {importlib.metadata.version(package)}".encode())
    return found.hexdigest()[:16]


# An unchanged notebook runs again only if convhub has changed, which jupyter-cache itself does not notice.
nb_execution_mode = "cache"
nb_execution_cache_path = str(HERE / "_build" / "notebooks" / _digest())
nb_execution_show_tb = True  # if a notebook fails, which is a warning, and so an error
nb_execution_timeout = 120
nb_output_stderr = "error"  # a warning of a library must not appear in a page
nb_merge_streams = True

# --- reference ----------------------------------------------------------------------------------------------

default_role = "autolink"  # makes single backquotes in a docstring a link, if they contain a known name
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings describe the types
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 88
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
numpydoc_validation_checks = {
    "all",
    # A docstring may be a summary only. Related names are linked in the text. tests/e2e/test_docs.py requires
    # an example for the functions that need one, and runs all examples.
    "ES01",
    "SA01",
    "EX01",
    # Descriptions are fragments in the manner of "The filters; of the dtype of `input`", and may begin with a
    # name of their own.
    "PR08",
    "PR09",
    "RT03",
    "RT04",
    "RT05",
    # Text begins beside the opening quotes, and a docstring of one line ends there: ruff's D212 and D200.
    "GL01",
    "GL02",
    # A docstring of one line, "Return …", already says what is returned.
    "RT01",
}
# Python keeps no docstrings of data, which Sphinx reads from the source.
numpydoc_validation_exclude = {
    r"convhub\.backend\.(CONTRACT|Accuracy|Answer|Array|ArrayLibrary)$",
    r"convhub\.typing\.(Array|ArrayT|Steps|Padding|Mask)$",
}

nitpicky = True
nitpick_ignore_regex = [
    # "autolink" requests existing names only; private ones have no page.
    ("py:obj", ".*"),
]

# --- HTML ---------------------------------------------------------------------------------------------------

html_theme = "furo"
html_title = f"convhub {release}"
html_static_path = ["_static"]
html_css_files = ["convhub.css"]
html_copy_source = False
html_show_sphinx = False
