"""The first thing to run on a machine with a GPU: what works there, how fast, and a table of it.

    sh tools/benchmark/gpu_check.sh --out gpu_check

Pet need not be installed. In at most 8 minutes it runs the parts of ``gpu_parts.py``, each in
processes of its own, and writes results.json, results.md, for docs/benchmarks.md, and a log of each
part. Its status is 0 where all parts went well, 1 where one did not, 2 where it was asked wrongly.
"""

import argparse
import datetime
import json
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # for pet and tools.benchmark

from pet.utils.files import atomic_path
from tools.benchmark.gpu_parts import Check, has_coco, tables
from tools.benchmark.packages import PET, TESTS, advice, install_wheels, missing_modules
from tools.benchmark.parts import OK, ROOT, SKIPPED, Outcome, Part, run_parts

_LIMIT = 480  # seconds, of all parts together


def main(words: Sequence[str] | None = None) -> int:
    """Run the parts that the command line asks for; return the status of the program."""
    parser = _parser()
    args = parser.parse_args(words)
    out = Path(args.out).expanduser().absolute()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        parser.error(f"--out {args.out} is there already; give a new folder")
    given = Path(args.data).expanduser().absolute() if args.data else None
    data = given or ROOT / "data"
    coco = data if has_coco(data) and not args.tiny else None
    parts = Check(out, args.device, args.tiny, given, coco).parts()
    chosen = _chosen(parts, args.parts, parser)
    started = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    missing, env = _packages(args, out)
    command = shlex.join(["sh", "tools/benchmark/gpu_check.sh", *(words or sys.argv[1:])])
    head = {"command": command, "started": started, "device": args.device, "missing": missing}

    def save(outcomes: Sequence[Outcome]) -> None:
        content = {**head, "parts": [asdict(outcome) for outcome in outcomes]}
        _write(out / "results.json", json.dumps(content, indent=2))
        lines = format_results(command, started, outcomes)
        _write(out / "results.md", "\n".join([*lines, *tables(out, [p.name for p in chosen])]))

    outcomes = run_parts(chosen, out, env, args.limit, missing, save)
    went_well = all(outcome.status == OK for outcome in outcomes)
    how = "all parts went well" if went_well else "not all parts went well"
    print(f"== {how}: {out / 'results.md'}, {out / 'results.json'}")
    return 0 if went_well else 1


def _packages(args: argparse.Namespace, out: Path) -> tuple[list[str], dict[str, str]]:
    """Return the modules that are missing, and the environment of the parts.

    What comes from wheels goes into a folder of ``out``, and the system stays as it is.
    """
    target = out / "packages"
    missing = missing_modules([*PET, *TESTS])
    if missing and args.wheels:
        print(f"== taking {', '.join(missing)} from {args.wheels}", flush=True)
        for line in install_wheels(Path(args.wheels).expanduser().absolute(), missing, target):
            print(f"   {line}", flush=True)
        missing = missing_modules(missing, target)
    if missing:
        print(f"== {advice(missing)}", flush=True)
    path = [str(ROOT), str(target), os.environ.get("PYTHONPATH", "")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))}
    return missing, {**env, "PYTHONUNBUFFERED": "1"}


def _chosen(parts: Sequence[Part], names: str, parser: argparse.ArgumentParser) -> list[Part]:
    """Return the parts of those ``names``, with commas between them; all for none."""
    known = {part.name: part for part in parts}
    wanted = names.split(",") if names else list(known)
    for name in wanted:
        if name not in known:
            parser.error(f"--parts: no part {name!r}; choose from {','.join(known)}")
    return [part for part in parts if part.name in wanted]


def format_results(command: str, started: str, outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Yield the lines of the table of all parts, in Markdown."""
    found = {outcome.name: outcome.figures for outcome in outcomes}.get("environment", {})
    yield f"# GPU check: {found.get('device', 'of a machine that was not described')}"
    yield from ("", f"`{command}`, {started}", "")
    yield from (f"- {line}" for line in found.get("lines", ()))
    yield from ("", "| part | result | s | found |", "| --- | --- | --- | --- |")
    for outcome in outcomes:
        seconds = "" if outcome.status == SKIPPED else f"{outcome.seconds:.1f}"
        each = [f"{taken:.1f}" for taken in outcome.seconds_of_commands]
        seconds += f" ({' + '.join(each)})" if len(each) > 1 else ""
        words = "; ".join(filter(None, (outcome.problem, outcome.summary))).replace("|", "/")
        yield f"| {outcome.name} | {outcome.status} | {seconds} | {words} |"


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(f"{text}\n", encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gpu_check.sh", description="Check Pet on a GPU, and measure it, in one go."
    )
    add = parser.add_argument
    add("--out", required=True, metavar="DIR", help="a new folder for results and logs")
    add("--device", default="cuda", help="cuda, cuda:N or cpu; by default cuda")
    add("--wheels", metavar="DIR", help="folder of wheels to take missing packages from")
    add("--parts", default="", metavar="A,B", help="some of the parts only")
    add("--limit", type=float, default=_LIMIT, metavar="S", help=f"seconds in all, {_LIMIT}")
    add("--data", metavar="DIR", help="DATA_DIR of COCO, if it is there, and the drawn shapes")
    add("--tiny", action="store_true", help="small models and few steps, to try the parts out")
    return parser


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:  # the part that ran has been ended; what is written is whole
        print("interrupted", file=sys.stderr)
        sys.exit(130)
