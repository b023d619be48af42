"""A flow whose parameters are searched for secrets before Prefect stores them with the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

from prefect import Flow
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture

from ...project.run_secrets import refuse_given_secrets
from ...project.source import is_git, refuse_user_info

P = ParamSpec("P")
R = TypeVar("R")


class CheckedFlow(Flow[P, R]):
    """A flow of a project, with the parameters `project`, `args`, `ref` and `subfolder`.

    Prefect stores a run's parameters in its database, where everybody who may see the run reads them, before it calls
    the flow's function. This class therefore checks them where Prefect serializes them.
    """

    def serialize_parameters(self, parameters: dict[str, Any | PrefectFuture[Any] | State]) -> dict[str, Any]:
        """As `Flow.serialize_parameters`.

        Raises:
            ProjectError: A parameter holds what looks like a secret.
        """
        check_parameters(parameters)
        return super().serialize_parameters(parameters)

    def with_options(self, **options: Any) -> CheckedFlow[P, R]:  # noqa: ANN401
        """As `Flow.with_options`, which would return a plain flow."""
        changed = super().with_options(**options)
        changed.__class__ = type(self)
        return cast("CheckedFlow[P, R]", changed)


def checked_flow(**options: Any) -> Callable[[Callable[P, R]], CheckedFlow[P, R]]:  # noqa: ANN401 - as `prefect.flow`
    """Decorates a function as `prefect.flow` does."""
    return lambda function: CheckedFlow(fn=function, **options)


def check_parameters(parameters: Mapping[str, Any]) -> None:
    """Refuses secrets in the parameters of a run or a deployment.

    Args:
        parameters: The parameters by name.

    Raises:
        ProjectError: The address has user info, or an argument or the address looks like a secret.
    """
    project, args = parameters.get("project"), parameters.get("args")
    address = str(project) if isinstance(project, str | Path) else ""
    refuse_user_info(address)
    root = None if not address or _is_address(address) else Path(address, str(parameters.get("subfolder") or ""))
    refuse_given_secrets(
        args=[str(word) for word in args] if isinstance(args, list | tuple) else [],
        addresses={name: str(parameters.get(name) or "") for name in ("project", "ref", "subfolder")},
        root=root,
    )


def _is_address(project: str) -> bool:
    return "://" in project or is_git(project)
