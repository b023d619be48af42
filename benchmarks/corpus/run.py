"""Runs `vertex-training run` on the projects of tests/corpus, or on checkouts, and says how far each one came.

    python benchmarks/corpus/run.py [--only TEXT] [--part 1/4]                  # all projects of the corpus
    python benchmarks/corpus/run.py DIR ... [--setting KEY=VALUE] [-- ARG ...]  # checkouts
    python benchmarks/corpus/run.py --list FILE                                 # checkouts, each with its own settings

Every run works on a copy, in a home of its own that all runs share. The table names the step that was reached, the
last message and the seconds. A file for --list holds one table a checkout:

    [[project]]
    folder = "/path/of/a/checkout"
    subfolder = "examples/iris"        # (optional) the project's folder inside the checkout
    settings = { script = "fit.py" }   # (optional) at most three, written into the copy's pyproject.toml
    args = ["--epochs", "1"]           # (optional)
    seconds = 900                      # (optional) limit
    environment = "/path/of/a/venv"    # (optional) the virtual environment that is activated
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from checkouts import Checkout, parse_setting, read_list
from runs import Outcome, plan_checkout, run_case, run_checkout

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Prints the table; exits 1 if a project of the corpus ended otherwise than expected and isn't listed for it."""
    words, arguments = _split(sys.argv[1:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, metavar="DIR")
    parser.add_argument("--setting", action="append", default=[], metavar="KEY=VALUE", help="a value in TOML")
    parser.add_argument("--subfolder", default="", help="the project's folder inside each DIR")
    parser.add_argument("--list", type=Path, help="a file that names checkouts")
    parser.add_argument("--only", default="", help="those whose name contains this text")
    parser.add_argument("--part", type=_part, default=(1, 1), metavar="K/N", help="every Nth project, from the Kth on")
    parser.add_argument("--base", help="the image that Dockerfiles of the corpus build on, for those that need one")
    parser.add_argument("--plan", action="store_true", help="of checkouts only verify, freeze and image plan")
    parser.add_argument("--seconds", type=float, default=900.0, help="limit of one run")
    parser.add_argument("--json", type=Path, help="a file for the results")
    options = parser.parse_args(words)
    settings = dict(parse_setting(text) for text in options.setting)
    chosen = [Checkout(folder, options.subfolder, settings, tuple(arguments), options.seconds)
              for folder in options.folders]  # fmt: skip
    chosen += read_list(options.list) if options.list else []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="corpus-", ignore_cleanup_errors=True)))
        os.environ["VERTEX_TRAINING_HOME"] = str(folder / "home")
        stack.callback(_stop_local_vertex)
        server = _prefect_server(folder / "prefect")
        if not (options.plan and chosen):
            os.environ["PREFECT_API_URL"] = stack.enter_context(server)
        outcomes = _run_all(folder, chosen, options)
    if options.json:
        options.json.write_text(json.dumps([outcome.to_dict() for outcome in outcomes], indent=1))
    sys.exit(any(outcome.unexpected for outcome in outcomes))


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    """Our own words, and those behind `--`."""
    place = words.index("--") if "--" in words else len(words)
    return words[:place], words[place + 1 :]


def _part(text: str) -> tuple[int, int]:
    part, _, parts = text.partition("/")
    return int(part), int(parts)


def _prefect_server(folder: Path):  # noqa: ANN202 - a context manager of the tests' fixtures
    sys.path.insert(0, str(ROOT / "tests"))
    from fixtures.prefect_api.prefect_server import served

    folder.mkdir()
    return served(folder)


def _stop_local_vertex() -> None:
    from prefect_vertex_training.core.home import Home
    from prefect_vertex_training.local_vertex import lifecycle

    lifecycle.stop(Home.default())


def _run_all(folder: Path, chosen: list[Checkout], options: argparse.Namespace) -> list[Outcome]:
    from corpus.case import cases

    outcomes: list[Outcome] = []
    print(f"{'project':46} {'reached':8} {'seconds':>7}  message", flush=True)
    first, step = options.part
    projects = [project for project in chosen or cases() if options.only in str(getattr(project, "name", ""))]
    for number, project in enumerate(projects[first - 1 :: step]):
        work = folder / str(number)
        work.mkdir()
        if isinstance(project, Checkout):
            outcome = plan_checkout(project, work) if options.plan else run_checkout(project, work)
        else:
            outcome = run_case(project, work, base=options.base, seconds=options.seconds)
        shutil.rmtree(work, ignore_errors=True)
        outcomes.append(outcome)
        print(outcome.line(), flush=True)
    _print_totals(outcomes)
    return outcomes


def _print_totals(outcomes: list[Outcome]) -> None:
    reached: dict[str, int] = {}
    for outcome in outcomes:
        reached[outcome.reached] = reached.get(outcome.reached, 0) + 1
    print(", ".join(f"{count} reached {step}" for step, count in sorted(reached.items())))


if __name__ == "__main__":
    main()
