"""Step 1: the code runs here, with a small workload, before anything is paid for."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from prefect import task
from prefect.context import TaskRunContext

from ..core.home import Home
from ..project import verify as engine
from ..project.snapshot import Project
from .log import step_log
from .policy import STEP


def _key(context: TaskRunContext, parameters: dict[str, Any]) -> str:  # noqa: ARG001 - Prefect's signature
    project: Project = parameters["project"]
    asked = json.dumps([project.fingerprint, parameters["args"]])
    return f"verify-{hashlib.sha256(asked.encode()).hexdigest()}"


@task(name="verify", cache_key_fn=_key, **STEP)
def verify(project: Project, args: list[str]) -> engine.VerifyReport:
    """Runs the script in a copy of the project; the same code and arguments are not run twice.

    Raises:
        VerifyError: It failed, or ran longer than the project's `verify-timeout`.
    """
    return engine.verify(
        project.root, project.files, project.settings, args, cache=Home.default().cache, log=step_log("verify")
    )
