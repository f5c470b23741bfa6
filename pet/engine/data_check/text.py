"""The report as text for a terminal of 100 columns."""

import textwrap
from collections.abc import Sequence

import numpy as np

from pet.engine.data_check.check import Report
from pet.engine.data_check.findings import NOTE, Finding, count_severities, counted, share
from pet.engine.data_check.summary import QUANTILES, Summary, quantiles

WIDTH = 100
#: Pictures or annotations named below a finding, and classes in the table.
_MOST_NAMED, _MOST_OF_NOTE, _MOST_CLASSES = 5, 2, 20
_MOST_LETTERS = 30  # of a class in the table

Table = list[list[str]]  # lines of cells, the names of the columns first


def describe_report(report: Report, config: str, everything: bool = False) -> str:
    """Return the report; ``everything``: all pictures, annotations and classes are named."""
    blocks = [f"data of {config}: {count_findings(report.findings)}"]
    blocks += [describe_finding(each, everything) for each in report.findings]
    if report.summaries:
        for title, table in tables(report.summaries, everything):
            blocks.append("\n".join([title, *_lines_of(table)]))
    return "\n\n".join(blocks)


def count_findings(findings: Sequence[Finding]) -> str:
    """Return "1 error, 2 warnings, no notes"."""
    counts = count_severities(findings)
    return ", ".join(
        counted(number, severity) if number else f"no {severity}s"
        for severity, number in counts.items()
    )


def describe_finding(finding: Finding, everything: bool = False) -> str:
    """Return the lines about a finding."""
    head = f"{finding.severity}: {', '.join(finding.data_sets)}: {finding.text}"
    lines = _wrapped(head)
    usual = _MOST_OF_NOTE if finding.severity == NOTE else _MOST_NAMED
    most = None if everything else usual
    named = finding.where.named(most)
    if named:
        more = len(finding.where) - len(named)
        lines += _wrapped("  at: " + "; ".join([*named, *[f"{more} more"] * (more > 0)]))
    if finding.remedy:
        lines += _wrapped(f"  do: {finding.remedy}")
    return "\n".join(lines)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, subsequent_indent="      ", break_on_hyphens=False)


def tables(summaries: Sequence[Summary], everything: bool = True) -> list[tuple[str, Table]]:
    """Return title and table of each kind of figures."""
    found = [
        ("data sets", _set_table(summaries)),
        ("boxes by COCO's sizes, in pixels as annotated", _coco_table(summaries)),
        ("square roots of the boxes' areas in pixels, and aspects", _size_table(summaries)),
        ("classes: objects, and images that have some", class_table(summaries, everything)),
    ]
    if any(summary.fits for summary in summaries):
        found.append(("anchors: shares of the boxes", _anchor_table(summaries)))
    return found


def _set_table(summaries: Sequence[Summary]) -> Table:
    head = ["data set", "to", "images", "without objects", "objects", "crowds"]
    table = [[*head, "objects per image: median", "most"]]
    for each in summaries:
        most = int(each.objects_per_image.max()) if each.images else 0
        median = float(np.median(each.objects_per_image)) if each.images else 0.0
        figures = (each.images, each.without_objects, each.objects, each.crowds)
        table.append([each.name, each.purpose, *map(str, figures), f"{median:g}", str(most)])
    return table


def _coco_table(summaries: Sequence[Summary]) -> Table:
    table = [["data set", "to", "small, < 32²", "medium", "large, ≥ 96²"]]
    for each in summaries:
        cells = [f"{count} ({share(count, each.objects)})" for count in each.coco_sizes]
        table.append([each.name, each.purpose, *cells])
    return table


def _size_table(summaries: Sequence[Summary]) -> Table:
    names = ["least", *(f"{100 * part:.0f} %" for part in QUANTILES[1:-1]), "most"]
    table = [["data set", "", *(name.replace("50 %", "median") for name in names)]]
    for each in summaries:
        rows = [("as annotated", each.sides, ".0f")]
        rows += [
            (f"at {each.scale_key} {scale}", sides, ".0f")
            for scale, sides in each.network_sides.items()
        ]
        rows.append(("height / width", each.aspects, ".2f"))
        for place, (name, values, form) in enumerate(rows):
            cells = [format(value, form) for value in quantiles(values)] or [""] * len(QUANTILES)
            table.append(["" if place else each.name, name, *cells])
    return table


def class_table(summaries: Sequence[Summary], everything: bool = True) -> Table:
    """Return the table of classes, the ones with the most objects first."""
    names = list(dict.fromkeys(name for each in summaries for name in each.class_names))
    of_set = [
        {
            name: (objects, images)
            for name, objects, images in zip(
                each.class_names,
                each.objects_per_class.tolist(),
                each.images_per_class.tolist(),
                strict=True,
            )
        }
        for each in summaries
    ]
    names.sort(key=lambda name: [-found.get(name, (0, 0))[0] for found in of_set])
    shown = names if everything else names[:_MOST_CLASSES]
    table = [["class", *(f"{each.name} ({each.purpose})" for each in summaries)]]
    for name in shown:
        figures = [found.get(name) for found in of_set]
        cells = ["-" if pair is None else f"{pair[0]} in {pair[1]}" for pair in figures]
        table.append([_short(name, everything), *cells])
    if len(shown) < len(names):
        table.append([f"and {len(names) - len(shown)} more", *[""] * len(summaries)])
    return table


def _short(name: str, everything: bool) -> str:
    return name if everything or len(name) <= _MOST_LETTERS else f"{name[: _MOST_LETTERS - 1]}…"


def _anchor_table(summaries: Sequence[Summary]) -> Table:
    table = [["data set", "", "IoU ≥ threshold", "if centred", "below the smallest", "above"]]
    for each in summaries:
        for fit in each.fits:
            count = len(fit.best)
            matched = (fit.best >= fit.fg_iou, fit.best_shape >= fit.fg_iou)
            cells = [share(int(n.sum()), count) for n in (*matched, fit.smaller, fit.larger)]
            at = f"at {each.scale_key} {fit.scale}" if fit.scale else "as annotated"
            table.append([each.name, at, *cells])
    return table


def _lines_of(table: Table) -> list[str]:
    """Return a line of at most ``WIDTH`` for each line of the table; numbers are on the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    left = [not any(cell[:1].isdigit() for cell in column) for column in zip(*table, strict=True)]
    lines = []
    for cells in table:
        parts = [
            cell.ljust(width) if is_left or not place else cell.rjust(width)
            for place, (cell, width, is_left) in enumerate(zip(cells, widths, left, strict=True))
        ]
        lines.append("  ".join(parts).rstrip()[:WIDTH])
    return lines
