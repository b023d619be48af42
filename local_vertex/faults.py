"""Fault injection: delays, quotas and the failures of the real service.

Every setting can be changed at the start of the service and while it runs. Those with "the next N" count down. A
setting can have another value in one region: `stock_out@europe-west4`.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ..core.errors import LocalServiceError


@dataclass
class Faults:
    """All settings; by default the service is fast and nothing fails.

    Attributes:
        pending_seconds: How long a job stays PENDING before its replicas start.
        teardown_seconds: How long the platform tears a job down after its program has ended; 45 on the real service.
        second_start_seconds: After an exit status other than 0 the program is started again this long after it ended,
            and ended when the job fails (`SECOND_RUN_SECONDS` later); 17 on the real service, 0 for never.
        update_lag_seconds: How long after its end time a job's terminal state becomes visible; 1 to 29 on the real one.
        capacity: How many jobs may run at a time; others stay PENDING. 0 for any number.
        plain_lines: The form of log lines that are no JSON objects: "text" (textPayload) or "json" (jsonPayload with
            attrs.tag, levelname and message). The real service was seen to use both.
        list_lag_seconds: How long it takes until a new job appears in lists.
        grace_seconds: From SIGTERM to SIGKILL; undocumented on the real service.
        ipc_host: Whether containers share the machine's IPC namespace (PyTorch's data loaders need its /dev/shm).
        quotas: Whether the three rates below are enforced.
        reads_per_minute: GetCustomJob and ListCustomJobs, together.
        submissions_per_minute: CreateCustomJob and DeleteCustomJob, together.
        log_reads_per_minute: ListLogEntries.
        tail_sessions: How many TailLogEntries streams may be open at a time; enforced even without `quotas`.
        create_lost: The next N CreateCustomJob calls create their job, but return UNAVAILABLE.
        unavailable: The next N calls do nothing and return UNAVAILABLE.
        resource_exhausted: The next N CreateCustomJob calls create nothing and return RESOURCE_EXHAUSTED.
        fault_method: The only method that `unavailable` affects, for example "CreateCustomJob"; empty for all.
        stock_out: The next N attempts find no machines. FLEX_START, which waits for machines, isn't concerned.
        stock_out_seconds: For so long from when this is set there are no machines: attempts fail at once, and
            FLEX_START waits.
        flex_start_seconds: How long FLEX_START waits for machines at least.
        preempt: The next N attempts that reach RUNNING are preempted.
        preempt_after_seconds: How long these attempts run before that.
        out_of_memory: The next N attempts that reach RUNNING run out of memory.
        endpoint_region: The only region that the endpoint serves; empty for the service's own.
        bucket_location: The location that all buckets pretend to have; empty for the service's own region.
        refused_service_account: A service account that jobs may not use.
        cancel_of_ended_fails: Whether cancelling an ended job returns FAILED_PRECONDITION instead of OK. It is unknown
            which one the real service does.
        disabled_services: APIs that count as not enabled, as "aiplatform,storage".
        denied_permissions: Rights that the caller lacks, as "aiplatform.customJobs.create".
        forbidden_apis: APIs about a project that answer PERMISSION_DENIED, as "cloudquotas,artifactregistry".
        quota_limits: Training quotas that differ from 1000, as "custom_model_training_nvidia_t4_gpus=0".
        api_answers: Answers of the APIs about a project in place of their own: a JSON object by API and path, as
            {"compute/compute/v1/projects/1/global/networks/n": {}}; null for a resource that doesn't exist.
        api_delay_seconds: How long each answer of the APIs about a project takes.
    """

    pending_seconds: float = 0.0
    teardown_seconds: float = 0.0
    second_start_seconds: float = 0.0
    update_lag_seconds: float = 0.0
    capacity: int = 0
    plain_lines: str = "text"
    list_lag_seconds: float = 0.0
    grace_seconds: float = 10.0
    ipc_host: bool = False
    quotas: bool = False
    reads_per_minute: float = 600.0
    submissions_per_minute: float = 60.0
    log_reads_per_minute: float = 60.0
    tail_sessions: int = 10
    create_lost: int = 0
    unavailable: int = 0
    resource_exhausted: int = 0
    fault_method: str = ""
    stock_out: int = 0
    stock_out_seconds: float = 0.0
    flex_start_seconds: float = 0.0
    preempt: int = 0
    preempt_after_seconds: float = 0.0
    out_of_memory: int = 0
    endpoint_region: str = ""
    bucket_location: str = ""
    refused_service_account: str = ""
    cancel_of_ended_fails: bool = False
    disabled_services: str = ""
    denied_permissions: str = ""
    forbidden_apis: str = ""
    quota_limits: str = ""
    api_answers: str = ""
    api_delay_seconds: float = 0.0
    _regional: dict[str, Any] = field(default_factory=dict, repr=False)
    _set_at: dict[str, float] = field(default_factory=dict, repr=False, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def value(self, name: str, region: str) -> Any:  # noqa: ANN401 - each setting has its own type
        """A setting's value in one region."""
        return self._regional.get(f"{name}@{region}", getattr(self, name))

    def take(self, name: str, region: str = "") -> bool:
        """Counts one of "the next N" down, the region's own if it has one; False when none is left.

        Threads may call it.
        """
        with self._lock:
            scoped = f"{name}@{region}"
            if self._regional.get(scoped, 0) > 0:
                self._regional[scoped] -= 1
                return True
            left = 0 if scoped in self._regional else getattr(self, name)
            if left > 0:
                setattr(self, name, left - 1)
            return left > 0

    def is_stocked_out(self, region: str, now: float | None = None) -> bool:
        """Whether a region has no machines now, by `stock_out_seconds`.

        Args:
            region: The region.
            now: Seconds since 1970. Default: the present time.
        """
        with self._lock:
            scoped = f"stock_out_seconds@{region}"
            name = scoped if scoped in self._regional else "stock_out_seconds"
            end = self._set_at.get(name, 0.0) + self.value("stock_out_seconds", region)
        return (time.time() if now is None else now) < end

    def update(self, changes: Mapping[str, Any]) -> None:
        """Changes settings: all of them, or none.

        Args:
            changes: New values by name.

        Raises:
            LocalServiceError: A name is unknown, or a value has another type or is negative.
        """
        checked = {name: _checked(name, value) for name, value in changes.items()}
        with self._lock:
            for name, value in checked.items():
                self._set_at[name] = time.time()
                if "@" in name:
                    self._regional[name] = value
                else:
                    setattr(self, name, value)

    def values(self) -> dict[str, Any]:
        """All current values by name."""
        with self._lock:
            return {name: getattr(self, name) for name in _DEFAULTS} | self._regional


SECOND_RUN_SECONDS = 9.0
"""From a failed program's second start to the job's failure, as the real service was seen to do it."""

_CHOICES = {"plain_lines": ("text", "json")}
_DEFAULTS: dict[str, Any] = {f.name: f.default for f in fields(Faults) if not f.name.startswith("_")}


def _checked(setting: str, value: object) -> object:
    name, at, region = setting.partition("@")
    if name not in _DEFAULTS or (at and not region):
        raise LocalServiceError(
            f"there is no switch {setting!r}", where="switches", next_step=f"Use one of: {', '.join(_DEFAULTS)}"
        )
    wanted = type(_DEFAULTS[name])
    if wanted is float and type(value) is int:
        value = float(value)
    if type(value) is not wanted or (isinstance(value, (int, float)) and not 0 <= value < float("inf")):
        raise LocalServiceError(
            f"the switch {name} can't be {value!r}",
            where="switches",
            next_step=f"Use a value of the type {wanted.__name__} that is not negative",
        )
    if name == "api_answers" and value and not _is_json_object(str(value)):
        raise LocalServiceError(
            "the switch api_answers is no JSON object",
            where="switches",
            next_step='Write it as {"compute/compute/v1/projects/P/global/networks/N": {}}',
        )
    if value not in _CHOICES.get(name, (value,)):
        raise LocalServiceError(
            f"the switch {name} can't be {value!r}", where="switches", next_step=f"Use {' or '.join(_CHOICES[name])}"
        )
    return value


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False
