"""Draws design.svg: the path of a call through convhub, from the arguments to the result.

``python docs/images/design.py`` rewrites it. The picture is narrow, for phones, and its text is SVG text.
"""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 720, 1036
STYLE = """
  text { font-family: system-ui, "Segoe UI", Helvetica, Arial, sans-serif; font-size: 22px; fill: #1c2430; }
  .mono { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: 19px; }
  .small { font-size: 19px; fill: #55606c; }
  .name { font-weight: 600; }
  .paper { fill: #ffffff; }
  .step { fill: #eef4fa; stroke: #1f6fb2; stroke-width: 2; }
  .data { fill: #fdf3e7; stroke: #c77f1a; stroke-width: 2; }
  .plugin { fill: #eaf6ef; stroke: #2c8c5a; stroke-width: 2; }
  .yours { stroke-dasharray: 7 5; }
  .line { stroke: #55606c; stroke-width: 2.5; fill: none; }
  .tip { fill: #55606c; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e8ecf1; }
    .small { fill: #a9b4c0; }
    .paper { fill: #14181d; }
    .step { fill: #16283a; stroke: #5aa7e0; }
    .data { fill: #33260f; stroke: #e0a44a; }
    .plugin { fill: #12301f; stroke: #55b884; }
    .line { stroke: #a9b4c0; }
    .tip { fill: #a9b4c0; }
  }
"""


class Drawing:
    """Shapes and texts, in the order in which they are drawn."""

    def __init__(self) -> None:
        self.parts: list[str] = []

    def box(self, kind: str, x: int, y: int, width: int, height: int) -> None:
        """Draw a box with round corners."""
        self.parts.append(f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="10"/>')

    def text(self, x: int, y: int, words: str, kind: str = "", anchor: str = "start") -> None:
        """Write one line, whose foot is at y."""
        self.parts.append(
            f'<text class="{kind}" x="{x}" y="{y}" text-anchor="{anchor}">{escape(words)}</text>'
        )

    def arrow(self, *points: tuple[int, int]) -> None:
        """Draw a line through points, with a tip at the last."""
        path = " ".join(f"{x},{y}" for x, y in points)
        self.parts.append(f'<polyline class="line" points="{path}" marker-end="url(#tip)"/>')

    def step(self, y: int, height: int, file: str, *lines: str) -> None:
        """Draw a step of the way: the file that takes it, and what it does."""
        self.box("step", 96, y, 528, height)
        self.text(116, y + 32, file, "name")
        for number, line in enumerate(lines):
            self.text(116, y + 62 + 27 * number, line, "small")

    def svg(self, title: str) -> str:
        """Return the whole file."""
        tip = (
            '<marker id="tip" viewBox="0 0 10 10" refX="8" refY="5" markerWidth="7" markerHeight="7" '
            'orient="auto-start-reverse"><path class="tip" d="M0,0 L10,5 L0,10 z"/></marker>'
        )
        body = "\n".join(self.parts)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">\n'
            f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n<defs>{tip}</defs>\n"
            f'<rect class="paper" width="{WIDTH}" height="{HEIGHT}" rx="12"/>\n{body}\n</svg>\n'
        )


def draw() -> str:
    """Return the picture."""
    to = Drawing()
    to.text(360, 44, "convhub.conv2d(x, w, stride=2)", "mono", "middle")
    to.arrow((360, 58), (360, 84))
    to.step(
        88,
        102,
        "arguments.py",
        "checks every argument, once for each shape;",
        "no backend ever sees a bad call",
    )
    to.arrow((360, 190), (360, 216))

    to.box("data", 60, 220, 600, 76)
    to.text(360, 252, "Problem", "name", "middle")
    to.text(360, 281, "forward_float32_n8c3h64w48_k16r3s3_stride2x2", "mono", "middle")
    to.arrow((360, 296), (360, 322))

    to.step(
        326,
        102,
        "dispatch/choose.py",
        "a backend that is named runs, or is refused;",
        "else policy, measurement, order. Remembered",
    )
    to.arrow((360, 428), (360, 520))
    to.box("data", 24, 446, 300, 62)
    to.text(44, 472, "config/, context.py", "name")
    to.text(44, 497, "call, block, variable, file", "small")
    to.arrow((60, 446), (60, 376), (92, 376))
    to.box("data", 396, 446, 300, 62)
    to.text(416, 472, "candidates.py", "name")
    to.text(416, 497, "which can run it, or why not", "small")
    to.arrow((660, 446), (660, 376), (628, 376))

    to.step(524, 102, "dispatch/invoke.py", "passes the arrays without a copy;", "checks the result")
    to.arrow((360, 626), (360, 664))

    names = ("naive", "numpy", "numba", "torch", "cupy", "yours")
    to.box("paper", 24, 668, 672, 132)
    for number, name in enumerate(names):
        x = 28 + 112 * number
        to.box("plugin yours" if name == "yours" else "plugin", x, 668, 104, 50)
        to.text(x + 52, 700, name, "name", "middle")
    to.text(360, 752, "forward · grad_input · grad_weight · Capabilities", "", "middle")
    to.text(360, 782, "plugins/ finds all of them by the same entry points", "small", "middle")
    to.arrow((692, 693), (709, 693), (709, 477), (700, 477))

    to.arrow((360, 800), (360, 834))
    to.box("data", 150, 838, 420, 50)
    to.text(360, 870, "y, in the library of x", "name", "middle")
    to.box("step", 24, 918, 672, 98)
    to.text(44, 948, "torch/autograd.py", "name")
    to.text(44, 977, "in the backward pass: the same Problem with another", "small")
    to.text(44, 1002, "of the three primitives; and so on, to any order", "small")
    to.arrow((24, 967), (11, 967), (11, 575), (92, 575))
    to.arrow((570, 863), (640, 863), (640, 914))
    return to.svg("The path of a call through convhub")


if __name__ == "__main__":
    Path(__file__).with_suffix(".svg").write_text(draw(), encoding="utf-8")
