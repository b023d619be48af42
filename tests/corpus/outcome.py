"""Runs a project through the steps and compares what happened with its expected.toml."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from prefect_vertex_training.core.errors import TrainingError
from prefect_vertex_training.core.home import Home

from . import steps
from .case import Case
from .prepare import Prepared

Step = Literal["open", "verify", "freeze", "plan", "train"]


class OutcomeDiffers(AssertionError):
    """The product did something else than expected.toml says."""


@dataclass
class Run:
    """One run and what it said.

    Attributes:
        case: The project.
        lines: All lines of all steps, warnings included.
        step: The step that runs, or the last one that did.
    """

    case: Case
    lines: list[str] = field(default_factory=list)
    step: Step = "open"

    def differs(self, text: str) -> OutcomeDiffers:
        """The failure, with the last lines of the run."""
        return OutcomeDiffers("\n".join([f"{self.case.name}, step {self.step}: {text}", *self.lines[-15:]]))

    def require(self, condition: object, text: str) -> None:
        """Fails with `text` unless the condition holds."""
        if not condition:
            raise self.differs(text)


def check_plan(case: Case, prepared: Prepared, home: Home) -> None:
    """Verify, freeze and image plan.

    Raises:
        OutcomeDiffers: They did something else than expected.
    """
    run = Run(case)
    with prepared.activated():
        try:
            _run_steps(run, prepared, home)
        except TrainingError as error:
            _check_stop(run, error)
        else:
            wanted = case.table("stop")
            run.require(not wanted, f"went through, and should stop with {wanted.get('message')!r}")
        finally:
            left = _end_processes(prepared.token)
    run.require(not left or not case.table("verify").get("ends"), f"{len(left)} processes outlived the local run")
    _check_lines(run)


def check_training(case: Case, prepared: Prepared) -> None:
    """The whole train flow, its job included.

    Raises:
        OutcomeDiffers: It failed, or left another model than expected.
    """
    run = Run(case, step="train")
    with prepared.activated():
        try:
            folder = steps.trained(prepared.project, case.args)
        except TrainingError as error:
            raise run.differs(f"stopped: {error}") from error
    for name, pattern in case.table("model").items():
        path = Path(folder, name)
        run.require(path.is_file(), f"the model has no {name}: {_names(folder)}")
        text = path.read_text()
        run.require(re.search(pattern, text), f"{name} holds {text!r}, not {pattern!r}")


def _run_steps(run: Run, prepared: Prepared, home: Home) -> None:
    case = run.case
    project = steps.open_project(prepared.project, home, run.lines.append)
    run.step = "verify"
    _check_verified(run, steps.verified(project, case.args, home, run.lines.append))
    run.step = "freeze"
    lock = steps.frozen(project, home, run.lines.append)
    _check_versions(run, dict(lock.packages))
    run.step = "plan"
    plan = steps.planned(project, lock, home)
    _check_image(run, plan, home)
    _check_job(run, plan, steps.job_facts(project, case.args))


def _check_verified(run: Run, report: steps.Verified) -> None:
    wanted = run.case.table("verify")
    run.require(report.off == bool(wanted.get("off")), "the local run was left out" if report.off else "it ran")
    if "model" in wanted:
        run.require(list(report.model) == wanted["model"], f"saved {list(report.model)}, not {wanted['model']}")
    if "command" in wanted:
        run.require(re.search(wanted["command"], report.command), f"ran {report.command!r}")
    for pattern in wanted.get("prints", ()):
        run.require(_shown(pattern, run.lines), f"the script did not print {pattern!r}")


def _check_versions(run: Run, versions: Mapping[str, str]) -> None:
    for name, version in run.case.table("freeze").get("versions", {}).items():
        found = versions.get(name)
        run.require(found == version, f"froze {name} {found}, not {version}")


def _check_image(run: Run, plan: Any, home: Home) -> None:
    wanted = run.case.table("image")
    if "builder" in wanted:
        run.require(plan.builder == wanted["builder"], f"the builder is {plan.builder}")
    if "entry" in wanted:
        entry = steps.entry_point(plan)[0]
        run.require(entry == wanted["entry"], f"the entry point is {entry}")
    files = steps.image_files(plan)
    run.require(set(wanted.get("files", ())) <= files, f"the image gets {sorted(files)}")
    run.require(files.isdisjoint(wanted.get("absent", ())), f"the image gets {sorted(files)}")
    if "oldest" in wanted or "folders" in wanted:
        content = steps.built_content(plan, home)
        run.require(content.oldest >= wanted.get("oldest", 0), f"a file in the image is of {content.oldest}")
        missing = set(wanted.get("folders", ())) - content.folders
        run.require(not missing, f"the image lacks the folders {sorted(missing)}")


def _check_job(run: Run, plan: Any, job: steps.JobFacts) -> None:
    wanted = run.case.table("job")
    if "args" in wanted:
        run.require(list(job.args) == wanted["args"], f"the job's arguments are {list(job.args)}")
    if "runs" in wanted:
        entry, command = steps.entry_point(plan)
        runs = [*(job.command or entry), *(job.args or ([] if job.command else command))]
        run.require(runs == wanted["runs"], f"the job runs {runs}")
    for name, value in wanted.get("env", {}).items():
        run.require(job.env.get(name) == value, f"the job's {name} is {job.env.get(name)!r}")


def _check_stop(run: Run, error: TrainingError) -> None:
    """The message is the expected one, in one line, with its place and one next step."""
    wanted, message = run.case.table("stop"), str(error)
    run.require(wanted, f"stopped: {message}")
    run.require(re.search(wanted["message"], message), f"stopped with {message!r}, not {wanted['message']!r}")
    run.require("not" not in wanted or not re.search(wanted["not"], message), f"said {message!r}")
    run.require(run.step == wanted.get("at", run.step), f"stopped at {run.step}, not at {wanted.get('at')}: {message}")
    run.require(error.where and error.next_step, f"names no place or no next step: {message!r}")
    if "once" in wanted:
        printed = [*run.lines, *(error.detail or "").splitlines()]
        count = sum(bool(re.search(wanted["once"], line)) for line in printed)
        run.require(count <= 1, f"printed {wanted['once']!r} {count} times")


def _check_lines(run: Run) -> None:
    wanted = run.case.table("output")
    for pattern in wanted.get("shown", ()):
        run.require(_shown(pattern, run.lines), f"no line says {pattern!r}")
    for pattern in wanted.get("hidden", ()):
        run.require(not _shown(pattern, run.lines), f"a line says {pattern!r}")


def _shown(pattern: str, lines: Iterable[str]) -> bool:
    return any(re.search(pattern, line) for line in lines)


def _end_processes(token: str) -> Sequence[int]:
    """Ends the processes whose command line has the token, and returns them."""
    found = [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/cmdline") if token in _command_line(path)]
    for process in found:
        os.kill(process, signal.SIGKILL)
    return found


def _command_line(path: Path) -> str:
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:  # it has ended meanwhile
        return ""


def _names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
