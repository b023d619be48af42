"""One run of `vertex-training run`, and how far it came."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import preloaded
from checkouts import Checkout, add_settings

if TYPE_CHECKING:
    from corpus.case import Case

_STEPS = ("files", "verify", "freeze", "build", "push", "submit", "watch", "receipt")
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended.

    Attributes:
        name: The project's.
        reached: The last step that said something; `model` if the run succeeded, `open` if none began.
        message: The error's one line, or the model's files.
        seconds: The whole run.
        unexpected: It ended otherwise than expected.
        planned: For a checkout that stopped in its local run: what freeze and image plan said of it.
    """

    name: str
    reached: str
    message: str
    seconds: float
    unexpected: bool = False
    planned: str = ""

    def line(self) -> str:
        """The row of the table."""
        mark = "! " if self.unexpected else ""
        row = f"{self.name[:46]:46} {self.reached:8} {self.seconds:7.1f}  {mark}{self.message[:_SHOWN]}"
        return f"{row}\n{'':46} {'plan':8} {'':7}  {self.planned[:_SHOWN]}" if self.planned else row

    def to_dict(self) -> dict[str, Any]:
        """For a file."""
        return asdict(self)


def run_checkout(checkout: Checkout, work: Path) -> Outcome:
    """Runs a copy of a checkout; if its local run stops, its list is frozen and its image planned all the same."""
    project = checkout.copy(work / checkout.folder.name)
    variables = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "CONDA_PREFIX"}}
    if checkout.environment:
        variables["VIRTUAL_ENV"] = checkout.environment
    outcome = _run(checkout.name, project, list(checkout.args), checkout.seconds, variables)
    if outcome.reached not in {"files", "verify"}:
        return outcome
    with _activated(checkout.environment):
        return replace(outcome, planned=_planned(project))


def plan_checkout(checkout: Checkout, work: Path) -> Outcome:
    """Runs verify, freeze and image plan of a copy of a checkout in this process, without a Prefect server."""
    from corpus import steps
    from prefect_vertex_training.core.errors import TrainingError
    from prefect_vertex_training.core.home import Home

    project = checkout.copy(work / checkout.folder.name)
    home, lines = Home.default(), list[str]()
    begin, reached = time.perf_counter(), "open"
    with _activated(checkout.environment):
        try:
            opened = steps.open_project(project, home, lines.append)
            reached = "verify"
            verified = steps.verified(opened, list(checkout.args), home, lines.append)
            message = f"{', '.join(verified.model[:3]) or 'no local run'}"
        except TrainingError as error:
            message = str(error).replace(f"{project}/", "").replace(str(project), ".")
        seconds = time.perf_counter() - begin
        planned = _planned(project) if reached == "verify" else ""
    return Outcome(checkout.name, reached, message, seconds, planned=planned)


def _planned(project: Path) -> str:
    """Freezes a project's list and plans its image, as a run does behind the local run."""
    from corpus import steps
    from prefect_vertex_training.core.errors import TrainingError
    from prefect_vertex_training.core.home import Home

    home = Home.default()
    try:
        opened = steps.open_project(project, home, lambda _line: None)
        lock = steps.frozen(opened, home, lambda _line: None)
        plan = steps.planned(opened, lock, home)
    except TrainingError as error:
        return str(error).replace(f"{project}/", "")
    return f"{len(lock.packages)} packages frozen, image planned ({plan.builder})"


@contextlib.contextmanager
def _activated(environment: str) -> Iterator[None]:
    before = os.environ.pop("VIRTUAL_ENV", None)
    if environment:
        os.environ["VIRTUAL_ENV"] = environment
    try:
        yield
    finally:
        os.environ.pop("VIRTUAL_ENV", None)
        if before is not None:
            os.environ["VIRTUAL_ENV"] = before


def run_case(case: Case, work: Path, *, base: str | None, seconds: float) -> Outcome:
    """Runs a project of the corpus, and compares its end with the expected one."""
    from corpus.case import not_yet
    from corpus.prepare import prepare

    prepared = prepare(case, work)
    if base and (prepared.project / "Dockerfile").exists():
        add_settings(prepared.project / "pyproject.toml", {"build-args": {"BASE": base}})
    with prepared.activated():
        outcome = _run(case.name, prepared.project, case.args, seconds)
    wanted = case.table("stop").get("message") or case.table("job").get("fails")
    as_expected = re.search(wanted, outcome.message) if wanted else outcome.reached == "model"
    unexpected = not as_expected and case.name not in not_yet() and not _needs_more(prepared.project, base)
    return Outcome(outcome.name, outcome.reached, outcome.message, outcome.seconds, unexpected)


def _needs_more(project: Path, base: str | None) -> bool:
    """Whether Docker can't build a project of the corpus here: without a base, or with packages of its own index."""
    dockerfile = project / "Dockerfile"
    return dockerfile.exists() and (not base or "pip install" in dockerfile.read_text(encoding="utf-8"))


def _run(
    name: str, project: Path, args: list[str], seconds: float, variables: Mapping[str, str] | None = None
) -> Outcome:
    words = ["run", str(project), "--json", "--", *args]
    begin = time.perf_counter()
    try:
        with tempfile.TemporaryDirectory(prefix="corpus-output-") as folder:
            finished = preloaded.run(words, variables or os.environ, Path(folder), seconds)
    except subprocess.TimeoutExpired as expired:
        said = (expired.stderr or b"").decode(errors="replace")
        return Outcome(name, _reached(said), f"still ran after {seconds:g} s", time.perf_counter() - begin)
    duration = time.perf_counter() - begin
    if finished.returncode == 0:
        model = Path(json.loads(finished.stdout.splitlines()[-1])["model"])
        files = sorted(path.relative_to(model).as_posix() for path in model.rglob("*") if path.is_file())
        more = f" and {len(files) - 3} more" if len(files) > 3 else ""
        return Outcome(name, "model", f"{', '.join(files[:3])}{more}", duration)
    errors = [line for line in finished.stderr.splitlines() if line.startswith("error: ")]
    last = errors[-1] if errors else next(reversed(finished.stderr.split("\n")[:-1]), "ended without a word")
    message = last.removeprefix("error: ").replace(f"{project}/", "").replace(str(project), ".")
    return Outcome(name, _reached(finished.stderr), message, duration)


def _reached(said: str) -> str:
    """The last step that wrote a line."""
    steps = [line.split(maxsplit=1)[0] for line in said.splitlines() if line.startswith(_STEPS)]
    return next((step for step in reversed(steps) if step in _STEPS), "open")
