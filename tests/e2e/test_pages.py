"""That running a page finds what is not as the page says."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from support.pages import run_page

VARIABLES = {"PATH": os.pathsep.join((str(Path(sys.executable).parent), os.defpath))}

RIGHT = """
Text.

```console
$ mkdir sub && cd sub
$ export WHO=reader
$ printf 'one\\ntwo\\nthree\\n'
one
…
thr…
$ printf 'one\\n'; read line; echo "$WHO"
one
reader
```

```python
# file.py
print("old")
```

```diff
+++ file.py
-print("old")
+print("new")
```

```console fails
$ python file.py
new
$ cat nothing
…nothing…
```

```python
import pathlib

assert pathlib.Path("file.py").exists()
```
"""


def test_a_page_that_is_right(tmp_path):
    run_page(RIGHT, tmp_path, VARIABLES)
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["file.py"]


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("one\n…\n", "one\n", "but not:\none\nthr…"),
        ("\nreader\n", "\nwriter\n", "ended with 0, and printed:\none\nreader\nbut not:\none\nwriter"),
        ("mkdir sub", "rmdir sub", r"line 5: \$ rmdir sub && cd sub\nended with 1"),
        ("console fails", "console", r"\$ cat nothing\nended with 1"),
        ("cat nothing\n…nothing…", "cat file.py", r"\$ cat file.py\nended with 0"),
        ('-print("old")', '-print("another")', "line 22: file.py has this 0 times"),
        ("assert pathlib", "assert not pathlib", "line 35: Traceback"),
        ("```python\n# file.py", "```toml\nfile", "line 17: a first line '# file.toml' must name the file"),
        ("```python\nimport", "```pythonic\nimport", "a block is 'pythonic'"),
        ("\n```python\nimport", "\n  ```python\nimport", "a block is indented"),
        ("mkdir sub", "exit 3", "the shell ended at 'exit 3 "),
    ],
)
def test_a_page_that_is_wrong(tmp_path, right, wrong, message):
    assert RIGHT.count(right) == 1
    with pytest.raises(AssertionError, match=message):
        run_page(RIGHT.replace(right, wrong), tmp_path, VARIABLES)
