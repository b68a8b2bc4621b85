"""The table, the JSON and the chart of one run."""

import json
import platform
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One goal and what was measured: `value` is a ratio or a figure, `goal` the most (or least) it may be."""

    work: str
    value: float
    unit: str
    goal: float | None = None
    at_least: bool = False
    detail: str = ""

    @property
    def holds(self) -> bool | None:
        """Whether the goal is met; None where there is none."""
        if self.goal is None:
            return None
        return self.value >= self.goal if self.at_least else self.value <= self.goal

    @property
    def verdict(self) -> str:
        """The same in a word."""
        return {None: "", True: "holds", False: "MISSED"}[self.holds]


def as_table(rows: list[Row], *, database: str) -> str:
    """Markdown, for a terminal and for docs/performance.md."""
    lines = [
        f"| {database} | measured | goal | | how |",
        "|---|---:|---:|---|---|",
    ]
    for row in rows:
        goal = "" if row.goal is None else f"{'≥' if row.at_least else '≤'} {row.goal:g}"
        lines.append(f"| {row.work} | {row.value:,.2f} {row.unit} | {goal} | {row.verdict} | {row.detail} |")
    return "\n".join(lines)


def save(rows: list[Row], *, database: str, items: int, folder: Path) -> Path:
    """The rows as JSON and as a chart of bars, in `folder`; the JSON's path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"bench-{database}.json"
    about = {"database": database, "items": items, "python": platform.python_version(), "machine": platform.machine()}
    path.write_text(json.dumps(about | {"rows": [asdict(row) | {"holds": row.holds} for row in rows]}, indent=2) + "\n")
    (folder / f"bench-{database}.svg").write_text(chart(rows))
    return path


def chart(rows: list[Row]) -> str:
    """Each goal as a bar: how much of it is used up, the line at 1 is the goal itself."""
    bars = [
        (row, row.goal / row.value if row.at_least else row.value / row.goal) for row in rows if row.goal and row.value
    ]
    height, parts = 22 * len(bars) + 30, []
    for number, (row, share) in enumerate(bars):
        y, width = 22 * number + 10, min(share, 3) * 160
        colour = "#2f7d4f" if row.holds else "#b3261e"
        parts.append(f'<text x="300" y="{y + 12}" text-anchor="end">{row.work.replace("&", "&amp;")}</text>')
        parts.append(f'<rect x="310" y="{y}" width="{width:.0f}" height="15" fill="{colour}"/>')
        parts.append(f'<text x="{320 + width:.0f}" y="{y + 12}">{share:.2f}</text>')
    parts.append(f'<line x1="470" y1="0" x2="470" y2="{height}" stroke="#555" stroke-dasharray="3"/>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="860" height="{height}" '
        f'font-family="sans-serif" font-size="11">'
        f"<title>Share of each goal that is used up; below 1 it holds</title>{''.join(parts)}</svg>\n"
    )
