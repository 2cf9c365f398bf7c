"""A figure without a drawing library: two dots on a line for each of some titles, as SVG."""

from collections.abc import Sequence
from xml.sax.saxutils import escape

LEFT, WIDTH, ROW, TOP = 230, 460, 30, 60
OURS, THEIRS = "#1f6feb", "#d29922"
STYLE = """text{font:13px sans-serif;fill:#1f2328}line{stroke:#d0d7de}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}line{stroke:#3d444d}}"""


def dots(rows: Sequence[tuple[str, float, float]], ours: str, theirs: str) -> str:
    """``rows``: a title, our figure and theirs, at most 1. What is below 0 stands at 0, and says so."""
    height = TOP + ROW * len(rows) + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 110} {height}" role="img">',
        f"<title>{escape(ours)}, beside {escape(theirs)}</title>",
        f"<style>{STYLE}</style>",
        _dot(LEFT, 22, OURS) + _text(LEFT + 12, 26, ours),
        _ring(LEFT + 270, 22) + _text(LEFT + 282, 26, theirs),
    ]
    bottom = TOP + ROW * len(rows) - 8
    for tenth in range(0, 11, 2):
        x = _place(tenth / 10)
        parts.append(f'<line x1="{x}" y1="{TOP - 16}" x2="{x}" y2="{bottom}"/>')
        parts.append(_text(x, bottom + 18, f"{tenth / 10:.1f}", "middle"))
    for number, (title, one, other) in enumerate(rows):
        y = TOP + ROW * number
        parts.append(_text(LEFT - 14, y + 4, title, "end"))
        parts.append(_ring(_place(other), y) + _dot(_place(one), y, OURS))
        told = f"{one:.3f} · {other:.3f}" if other >= 0 else f"{one:.3f} · below 0"
        parts.append(_text(LEFT + WIDTH + 12, y + 4, told))
    return "\n".join([*parts, "</svg>", ""])


def _place(value: float) -> float:
    return round(LEFT + WIDTH * max(0.0, min(1.0, value)), 1)


def _dot(x: float, y: float, colour: str) -> str:
    return f'<circle cx="{x}" cy="{y}" r="5" fill="{colour}"/>'


def _ring(x: float, y: float) -> str:
    return f'<circle cx="{x}" cy="{y}" r="7" fill="none" stroke="{THEIRS}" stroke-width="2.5"/>'


def _text(x: float, y: float, said: str, anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{escape(said)}</text>'
