"""The check of data as a tool runs it: printed, and written into files."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pet.config import CfgNode, cfg
from pet.engine.data_check.check import check_data
from pet.engine.data_check.findings import ERROR, WARNING
from pet.engine.data_check.json_file import write_json
from pet.engine.data_check.page import write_page
from pet.engine.data_check.text import describe_report

Say = Callable[[str], Any]


@dataclass(frozen=True, kw_only=True)
class CheckOptions:
    """How thoroughly to look, and what to write."""

    decode: bool = False  # read the pixels of all pictures
    everything: bool = False  # name all pictures, annotations and classes in the text
    strict: bool = False  # a warning is a failure, too
    html: Path | None = None  # file of the page
    json: Path | None = None  # file of the findings


def run_check(
    config_name: str, options: CheckOptions, say: Say = print, cfg: CfgNode = cfg
) -> bool:
    """Check the data of ``cfg``, ``say`` the report, and write the files asked for.

    Returns whether there is no finding that counts as a failure. Raises the errors of
    ``check_data``.
    """
    report = check_data(cfg, options.decode)
    if options.json:
        write_json(options.json, report, config_name)
    if options.html:
        write_page(options.html, report, config_name, cfg)
    say(describe_report(report, config_name, options.everything))
    written = [str(path) for path in (options.html, options.json) if path]
    if written:
        say(f"\nwritten: {', '.join(written)}")
    failures = (ERROR, WARNING) if options.strict else (ERROR,)
    return not any(finding.severity in failures for finding in report.findings)
