"""Step 2: the exact dependencies, as wheels for linux/amd64."""

from __future__ import annotations

from typing import Any

from prefect import task
from prefect.context import TaskRunContext

from ..core.home import Home
from ..project import freeze as engine
from ..project.snapshot import Project
from .log import step_log
from .policy import STEP


def _key(context: TaskRunContext, parameters: dict[str, Any]) -> str:  # noqa: ARG001 - Prefect's signature
    project: Project = parameters["project"]
    return f"freeze-{engine.request_key(project.root, project.settings)}"


@task(name="freeze", cache_key_fn=_key, **STEP)
def freeze(project: Project, refresh: bool = False) -> engine.Lock:
    """Resolves the requirements; unchanged requirements keep their versions until the step is refreshed.

    Raises:
        DependencyError: A requirement that doesn't exist, has no wheel for the target, or lies on this machine only.
    """
    lock = engine.freeze(project.root, project.settings, cache=Home.default().cache, refresh=refresh)
    step_log("freeze")(f"{len(lock.packages)} packages for Python {lock.python} on linux/amd64")
    return lock
