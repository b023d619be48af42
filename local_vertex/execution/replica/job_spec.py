"""The stored spec of a job, as plain values.

https://cloud.google.com/vertex-ai/docs/reference/rest/v1/CustomJobSpec
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

DAY = 24 * 3600.0
WEEK = 7 * DAY


@dataclass(frozen=True, slots=True)
class Package:
    """A Python package to run instead of an image's program (PythonPackageSpec).

    Attributes:
        uris: Where the packages are, `gs://BUCKET/PATH`; the first has the module.
        module: The module to run.
    """

    uris: Sequence[str]
    module: str


@dataclass(frozen=True, slots=True)
class Pool:
    """A worker pool that is not skipped.

    Attributes:
        index: Position: 0 primary, 1 workers, 2 parameter servers, 3 evaluators.
        replicas: Number of replicas.
        image: The image's URI, as the client sent it.
        command: Replaces the image's entry point; empty keeps it.
        args: Replaces the image's arguments; empty keeps them.
        env: Variables in the client's order.
        package: What runs in the image instead of its own program; None for that.
    """

    index: int
    replicas: int
    image: str
    command: Sequence[str] = ()
    args: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    package: Package | None = None

    @property
    def name(self) -> str:
        """The name in log entries, for example "workerpool0"."""
        return f"workerpool{self.index}"


@dataclass(frozen=True, slots=True)
class JobSpec:
    """The spec of a custom job.

    Attributes:
        pools: The worker pools; the first is the primary.
        output: `gs://BUCKET/PREFIX` without a trailing slash; empty without an output folder.
        timeout: How long the job may be RUNNING, in seconds.
        retries: False with `disable_retries`.
        restart_together: With `restart_job_on_worker_restart`: a replica's restart restarts the whole job.
        raw: The stored form.
        persistent_resource: The id of the persistent resource that the job runs on; empty for none.
        strategy: As "FLEX_START"; empty for the default.
        max_wait: How long FLEX_START may wait for machines, in seconds; 0 for ever.
    """

    pools: Sequence[Pool]
    output: str
    timeout: float
    retries: bool
    restart_together: bool
    raw: Mapping[str, Any]
    persistent_resource: str = ""
    strategy: str = ""
    max_wait: float = 0.0

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> JobSpec:
        """Parses the stored form, in which skipped pools are empty and default values are left out."""
        scheduling = raw.get("scheduling") or {}
        retries = not scheduling.get("disable_retries", False)
        output = (raw.get("base_output_directory") or {}).get("output_uri_prefix", "")
        return cls(
            pools=[_pool(i, pool) for i, pool in enumerate(raw["worker_pool_specs"]) if _TASKS & pool.keys()],
            output=output.rstrip("/"),
            timeout=_seconds(scheduling.get("timeout")) or WEEK,
            retries=retries,
            restart_together=retries and bool(scheduling.get("restart_job_on_worker_restart")),
            raw=raw,
            persistent_resource=raw.get("persistent_resource_id", ""),
            strategy=str(scheduling.get("strategy", "")),
            max_wait=_seconds(scheduling.get("max_wait_duration"), DAY),
        )

    def replicas(self) -> Iterator[tuple[Pool, int, str]]:
        """Every replica in rank order: its pool, its index in the pool, and its name, for example "workerpool1-0"."""
        for pool in self.pools:
            for index in range(pool.replicas):
                yield pool, index, f"{pool.name}-{index}"

    @property
    def primary(self) -> str:
        """Name of the replica whose end is the end of the job."""
        return f"{self.pools[0].name}-0"


_TASKS = {"container_spec", "python_package_spec"}


def _pool(index: int, raw: Mapping[str, Any]) -> Pool:
    package = raw.get("python_package_spec")
    container = package or raw["container_spec"]
    return Pool(
        index=index,
        replicas=int(raw.get("replica_count") or 1),
        image=container["executor_image_uri" if package else "image_uri"],
        command=tuple(container.get("command", ())),
        args=tuple(container.get("args", ())),
        env={variable["name"]: variable.get("value", "") for variable in container.get("env", ())},
        package=Package(tuple(package["package_uris"]), package["python_module"]) if package else None,
    )


def _seconds(duration: str | None, default: float = 0.0) -> float:
    return float(duration.removesuffix("s")) if duration else default
