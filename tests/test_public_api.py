"""The package's public names: what they are, that they cost nothing until used, and that no import order changes them.

Each test runs in an interpreter of its own, or in a process that was forked from one without this package: what was
imported of it before is the point.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "prefect_vertex_training"

BLOCKS = ["ContainerRegistry", "VertexAI", "VertexTrainingJob", "VertexTrainingJobRun"]
TASKS = ["build", "fetch", "freeze", "push", "receipt", "submit", "verify", "watch"]
TYPES = [
    "BuiltImage",
    "Connection",
    "JobRequest",
    "Lock",
    "Metric",
    "Origin",
    "Outcome",
    "Project",
    "Receipt",
    "StepReport",
    "SubmittedJob",
    "SweepChoices",
    "SweepResult",
    "TrainingError",
    "TrainingResult",
    "VerifyReport",
]


def fresh(code: str, *, cwd: Path | None = None, program: tuple[str | Path, ...] = (sys.executable,)) -> str:
    """The output of a new interpreter that runs the code."""
    done = subprocess.run([*program, "-c", code], capture_output=True, text=True, check=False, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


FORKS = f"""
import json, os, sys
import docker, prefect.flow_engine, prefect_docker.credentials, prefect_gcp.credentials
import google.cloud.aiplatform_v1, google.cloud.logging_v2

assert not [name for name in sys.modules if name.startswith("{PACKAGE}")]
for line in sys.stdin:
    process = os.fork()
    if not process:
        exec(json.loads(line), {{}})
        sys.exit()
    print("code", os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
"""
"""Imports once what other packages define, for seconds, and then runs each program in a process of its own."""

Run = Callable[[str], str]


@pytest.fixture(scope="module")
def forked() -> Iterator[Run]:
    """Runs a program in a new process that has imported other packages, and nothing of this one; returns its output."""
    words = [sys.executable, "-c", FORKS]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        commands, output = process.stdin, process.stdout
        assert commands
        assert output

        def run(code: str) -> str:
            commands.write(json.dumps(code) + "\n")
            commands.flush()
            lines = [output.readline()]
            while lines[-1] and not lines[-1].startswith("code "):
                lines.append(output.readline())
            assert lines.pop() == "code 0\n"
            return "".join(lines).strip()

        yield run
        commands.close()


def test_the_public_names(forked: Run) -> None:
    """A name appears here on purpose, and each one can be imported."""
    code = (
        f"import json, {PACKAGE} as p\n"
        "print(json.dumps({name: type(getattr(p, name)).__name__ for name in p.__all__}))"
    )
    kinds = json.loads(forked(code))

    functions = ["asweep", "atrain", "job_key", "plan_image"]
    assert sorted(kinds) == sorted([*BLOCKS, *TASKS, *TYPES, *functions, "sweep", "train"])
    assert {name for name, kind in kinds.items() if kind == "CheckedFlow"} == {"sweep", "train"}
    assert {name for name, kind in kinds.items() if kind.endswith("Task")} == set(TASKS)
    assert not {name for name, kind in kinds.items() if kind == "module"}


def test_the_package_alone_imports_nothing_heavy() -> None:
    """Its names are listed without importing what defines them; an unknown one is an AttributeError."""
    code = (
        f"import sys, {PACKAGE} as p, {PACKAGE}.tasks, {PACKAGE}.flows\n"
        "assert {'train', 'verify', '__version__'} <= set(dir(p)), dir(p)\n"
        "assert not hasattr(p, 'no_such_name')\n"
        "heavy = {'prefect', 'pydantic', 'google.auth', 'grpc', 'docker', 'importlib.metadata'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )

    assert fresh(code) == "[]"


@pytest.mark.parametrize("first", ["import {p}.flows.train_job", "from {p}.tasks import verify"])
def test_names_are_never_hidden_by_modules(forked: Run, first: str) -> None:
    """`tasks.verify` and `flows.train` are modules too: whatever was imported first, the names give task and flow.

    Deployments name the flow by its module.
    """
    code = (
        f"{first.format(p=PACKAGE)}\n"
        "import sys, prefect\n"
        f"import {PACKAGE} as p, {PACKAGE}.tasks.watch, {PACKAGE}.flows.train\n"
        f"from {PACKAGE}.tasks import verify, watch\n"
        f"from {PACKAGE}.flows import train\n"
        "from prefect.flows import load_flow_from_entrypoint\n"
        "assert isinstance(verify, prefect.Task) and isinstance(watch, prefect.Task), (verify, watch)\n"
        "assert p.verify is verify is p.tasks.verify\n"
        f"assert sys.modules['{PACKAGE}.tasks.verify'].verify is verify\n"
        f"assert load_flow_from_entrypoint('{PACKAGE}.flows.train:train') is train is p.train\n"
        "print(type(train).__name__)"
    )

    assert forked(code) == "CheckedFlow"


def test_the_version_is_the_distributions() -> None:
    """As pip knows it."""
    assert fresh(f"import {PACKAGE}; print({PACKAGE}.__version__)") == version("prefect-vertex-training")


def test_a_source_tree_knows_its_version(tmp_path: Path) -> None:
    """Without an installation it is pyproject.toml's."""
    tree = tmp_path / PACKAGE
    (tree / "core").mkdir(parents=True)
    for name in ("__init__.py", "core/__init__.py", "core/lazy_names.py", "core/version.py"):
        shutil.copy(ROOT / name, tree / name)
    (tree / "pyproject.toml").write_text('[project]\nversion = "7.8.9"\n')
    code = f"import sys; sys.path.insert(0, ''); import {PACKAGE}; print({PACKAGE}.__version__)"

    # -S leaves the installed packages out.
    assert fresh(code, cwd=tmp_path, program=(sys.executable, "-S")) == "7.8.9"


def test_the_package_runs_as_the_command() -> None:
    """`python -m prefect_vertex_training` is `vertex-training`."""
    command = [sys.executable, "-m", PACKAGE, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert done.stdout.startswith("Usage: vertex-training COMMAND")
