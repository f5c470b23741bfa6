"""The report as one HTML page, which needs no other file.

Every text is escaped: names of classes and files come from the user's data.
"""

import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from pet.config import CfgNode
from pet.data.build import build_image_reader
from pet.engine.data_check.charts import draw_charts
from pet.engine.data_check.check import Report
from pet.engine.data_check.findings import SEVERITIES, Finding, count_severities, counted
from pet.engine.data_check.page_style import STYLE
from pet.engine.data_check.summary import Summary
from pet.engine.data_check.text import Table, tables
from pet.engine.data_check.thumbnails import Thumbnail, draw_thumbnails
from pet.modeling.abilities import anchor_rule
from pet.utils.files import atomic_path

#: Pictures or annotations of a finding that are named; the JSON file has all.
_MOST_NAMED, _MOST_SEEN = 500, 5


def write_page(path: Path, report: Report, config: str, cfg: CfgNode) -> None:
    """Write the report of the data of ``config``, the name of ``cfg``, to ``path``."""
    thumbnails = draw_thumbnails(report.findings, report.files, build_image_reader(cfg))
    text = make_page(report, config, thumbnails, _anchor_sides(cfg))
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def make_page(
    report: Report,
    config: str,
    thumbnails: dict[int, list[Thumbnail]],
    anchor_sides: tuple[float, ...] = (),
) -> str:
    """Return the page; ``thumbnails`` of findings by index, ``anchor_sides`` as in a chart."""
    title = f"Data of {config}"
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>",
            f"<h1>{escape(title)}</h1>",
            _counts(report.findings),
            "<h2>Findings</h2>",
            *[_finding(each, thumbnails.get(n, [])) for n, each in enumerate(report.findings)],
            *([] if report.findings else ["<p>There are none.</p>"]),
            *_figures(report.summaries, anchor_sides),
            "</main></body></html>\n",
        ]
    )


def _counts(findings: Sequence[Finding]) -> str:
    counts = count_severities(findings)
    parts = [
        f'<span class="badge {each if counts[each] else "none"}">'
        f"{escape(counted(counts[each], each))}</span>"
        for each in SEVERITIES
    ]
    return f"<p>{' '.join(parts)}</p>"


def _finding(finding: Finding, thumbnails: Sequence[Thumbnail]) -> str:
    names = escape(", ".join(finding.data_sets))
    parts = [
        f'<section class="finding {finding.severity}">',
        f'<p><span class="badge {finding.severity}">{finding.severity}</span> '
        f"<b>{names}</b> {escape(finding.text)}</p>",
    ]
    if finding.remedy:
        parts.append(f'<p class="remedy">{escape(finding.remedy)}</p>')
    parts += [*_places(finding), *_pictures(thumbnails), "</section>"]
    return "\n".join(parts)


def _places(finding: Finding) -> Iterable[str]:
    named = finding.where.named(_MOST_NAMED)
    if not named:
        return
    seen = escape("; ".join(named[:_MOST_SEEN]))
    if len(named) <= _MOST_SEEN:
        yield f'<p class="places">{seen}</p>'
        return
    more = len(finding.where) - len(named)
    hidden = "; ".join([*named[_MOST_SEEN:], *[f"{more} more"] * (more > 0)])
    count = len(finding.where) - _MOST_SEEN
    yield f'<details class="places"><summary>{seen}; <u>{count} more</u></summary>'
    yield f"<p>{escape(hidden)}</p></details>"


def _pictures(thumbnails: Sequence[Thumbnail]) -> Iterable[str]:
    if thumbnails:
        figures = [
            f"<figure>{_inline(each.jpeg, 'jpeg', each.caption)}"
            f"<figcaption>{escape(each.caption)}</figcaption></figure>"
            for each in thumbnails
        ]
        yield f'<div class="pictures">{"".join(figures)}</div>'


def _figures(summaries: Sequence[Summary], anchor_sides: tuple[float, ...]) -> Iterable[str]:
    if not summaries:
        return
    yield "<h2>Figures</h2>"
    for title, table in tables(summaries):
        if table[0][0] == "class":
            yield f"<h3>{escape(title)}</h3>"
            yield _table(table, [_most_objects(each) for each in summaries])
        else:
            yield f"<h3>{escape(title)}</h3>"
            yield _table(table)
        if table[0][0] == "data set" and title.startswith("square roots"):
            for each in summaries:
                yield f"<h4>{escape(each.name)} ({each.purpose})</h4>"
                sides = anchor_sides if each.fits else ()
                alt = f"histograms of {each.name}"
                yield f'<p class="chart">{_inline(draw_charts(each, sides), "png", alt)}</p>'


def _most_objects(summary: Summary) -> int:
    return int(summary.objects_per_class.max(initial=0))


def _table(table: Table, most: Sequence[int] = ()) -> str:
    """Return the table; with ``most``, the largest number of a column, numbers have bars."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in table[0])
    lines = [f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>']
    for cells in table[1:]:
        first = f"<td>{escape(cells[0])}</td>"
        others = [_cell(cell, most[n] if most else 0) for n, cell in enumerate(cells[1:])]
        lines.append(f"<tr>{first}{''.join(others)}</tr>")
    return "\n".join([*lines, "</tbody></table></div>"])


def _cell(cell: str, most: int) -> str:
    number = cell.split(" ")[0]
    kind = "number" if cell[:1].isdigit() or cell[:1] in "<-" else ""
    if not most or not number.isdigit():
        return f'<td class="{kind}">{escape(cell)}</td>'
    part = 100 * int(number) / most
    bar = f'<i style="width:{part:.1f}%"></i>'
    return f'<td class="bars"><div>{bar}<span>{escape(cell)}</span></div></td>'


def _inline(content: bytes, kind: str, text: str) -> str:
    data = base64.b64encode(content).decode("ascii")
    return f'<img alt="{escape(text)}" src="data:image/{kind};base64,{data}">'


def _anchor_sides(cfg: CfgNode) -> tuple[float, ...]:
    rule = anchor_rule(cfg)
    if rule is None:
        return ()
    cells = rule.anchors.cells.reshape(-1, 4)
    sides = ((cells[:, 2] - cells[:, 0]) * (cells[:, 3] - cells[:, 1])).sqrt()
    return tuple(sorted({round(side, 1) for side in sides.tolist()}))
