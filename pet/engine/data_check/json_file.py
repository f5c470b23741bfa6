"""The findings with all ids, and the figures, as JSON."""

import json
from pathlib import Path
from typing import Any

from pet.engine.data_check.check import Report
from pet.engine.data_check.findings import Finding, count_severities
from pet.engine.data_check.summary import Summary, quantiles
from pet.utils.files import atomic_path


def write_json(path: Path, report: Report, config: str) -> None:
    """Write the report of the data of ``config`` to ``path``."""
    content = {
        "config": config,
        "counts": count_severities(report.findings),
        "findings": [_finding(each) for each in report.findings],
        "data_sets": [_figures(each) for each in report.summaries],
    }
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "severity": finding.severity,
        "kind": finding.kind,
        "data_sets": finding.data_sets,
        "text": finding.text,
        "remedy": finding.remedy,
        "image_ids": finding.where.image_ids,
        "annotation_ids": finding.where.annotation_ids,
        "details": finding.where.details,
    }


def _figures(summary: Summary) -> dict[str, Any]:
    classes = zip(
        summary.class_names,
        summary.objects_per_class.tolist(),
        summary.images_per_class.tolist(),
        strict=True,
    )
    return {
        "name": summary.name,
        "purpose": summary.purpose,
        "images": summary.images,
        "images_without_objects": summary.without_objects,
        "objects": summary.objects,
        "crowds": summary.crowds,
        "classes": [
            {"name": name, "objects": objects, "images": images}
            for name, objects, images in classes
        ],
        "coco_sizes": dict(zip(("small", "medium", "large"), summary.coco_sizes, strict=True)),
        "sides": quantiles(summary.sides),
        "aspects": quantiles(summary.aspects),
        "network_sides": {
            str(scale): quantiles(sides) for scale, sides in summary.network_sides.items()
        },
    }
