"""Rules that the tests themselves keep."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fixtures.suite.distribution import LONGEST, SPLIT
from fixtures.suite.module_graph import ROOT

PROFILE = ROOT / "tests" / "fixtures" / "suite" / "hypothesis_profile.py"


def test_property_tests_leave_their_settings_to_the_profile() -> None:
    """Deadlines and health checks are set in one place; a test may only ask for another number of examples."""
    others = [
        path
        for path in (ROOT / "tests").rglob("*.py")
        if path not in {PROFILE, ROOT / "tests/repository/test_suite.py"}
        and not path.is_relative_to(ROOT / "tests/corpus/projects")  # of other people, in their encodings
    ]
    found = [
        f"{path.relative_to(ROOT)}: {word}"
        for path in others
        for word in ("deadline=None", "suppress_health_check", "max_examples=")
        if word in path.read_text("utf-8", "replace").replace("max_examples=examples(", "")
    ]

    assert found == []


def test_a_checkout_may_have_any_name(tmp_path: Path) -> None:
    """The tests are found in a folder whose name is no module's, such as the distribution's own name."""
    checkout = tmp_path / "prefect-vertex-training"
    # With what Python compiled of them: to rewrite and compile the fixtures again takes seconds.
    shutil.copytree(ROOT / "tests" / "fixtures", checkout / "tests" / "fixtures")
    (checkout / "tests" / "core").mkdir()
    for name in ("__init__.py", "pyproject.toml", "tests/conftest.py", "tests/core/test_retry.py"):  # imports little
        shutil.copy(ROOT / name, checkout / name)
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "a_definite_one_is_not"]

    run = subprocess.run(words, cwd=checkout, check=False, capture_output=True, text=True)

    assert "1 passed" in run.stdout, run.stdout + run.stderr


def test_the_files_that_are_dealt_out_apart_exist() -> None:
    """A file that was renamed would lose its place among the longest, which start first."""
    assert [name for name in {*LONGEST, *SPLIT} if not (ROOT / "tests" / name).is_file()] == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has what the server of forked programs needs")
def test_the_processes_of_the_suite_are_forked() -> None:
    """Each that pytest-xdist starts for itself would import Prefect and Google's clients anew."""
    forked = b"forked_programs.py" in Path("/proc/self/cmdline").read_bytes()

    assert forked == ("PYTEST_XDIST_WORKER" in os.environ)
