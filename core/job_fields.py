"""The fields of a training job: title, meaning, default and allowed values of each, written once.

A job is described in four places, and each takes this from here: the settings in a project's pyproject.toml, the run
form, the training job block, and the request that is sent to Vertex AI.
"""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import Any, Generic, Literal, TypeVar, get_args

T = TypeVar("T")

Strategy = Literal["STANDARD", "SPOT", "FLEX_START"]
"""How Vertex AI finds the machines; the numbers 1 and 2 of its enum are deprecated."""

Restarts = Literal["none", "replica", "job"]
"""What Vertex AI itself starts again: nothing, a replica that was lost, or the whole job with it."""

Role = Literal["worker", "server", "evaluator"]
"""What a further pool does; `server` is a parameter server or a reduction server."""

Launcher = Literal["none", "torchrun", "accelerate"]
"""What starts several processes of the script on each machine."""

DAY = 24 * 3600.0
"""Seconds."""

DISK_TYPES = ("pd-ssd", "pd-standard", "hyperdisk-balanced")


@dataclass(frozen=True, slots=True)
class JobField(Generic[T]):
    """One field of a training job.

    Attributes:
        name: In Python; in pyproject.toml `-` replaces `_`.
        title: Label in forms, without the unit.
        meaning: What the field is, as the beginning of a sentence.
        default: Value where nothing was chosen; None for a field that is required, optional or a collection.
        expected: What a valid value is, for error messages: "must be ...".
        unit: Unit of a number, in words.
        format: How a text is written, with capitals for what varies.
        example: A valid text.
        details: Further sentences.
        pattern: Regular expression that matches the whole of a valid text.
        minimum: Smallest valid number.
        maximum: Largest valid number.
    """

    name: str
    title: str
    meaning: str
    default: T
    _: KW_ONLY
    expected: str = ""
    unit: str = ""
    format: str = ""
    example: str = ""
    details: str = ""
    pattern: str = r"[\s\S]+"
    minimum: float = -math.inf
    maximum: float = math.inf

    @property
    def key(self) -> str:
        """The name in pyproject.toml."""
        return self.name.replace("_", "-")

    @property
    def rule(self) -> str:
        """What a valid value is, with its format or an example: "must be ..."."""
        if self.format:
            return f"{self.expected}, as {self.format}"
        return f'{self.expected}, such as "{self.example}"' if self.example else self.expected

    @property
    def description(self) -> str:
        """The meaning as whole sentences, for forms and documentation."""
        written = f", as {self.format}" if self.format else ""
        example = f", such as {self.example}" if self.example else ""
        return " ".join(filter(None, (f"{self.meaning}{written}{example}.", self.details)))

    @property
    def form(self) -> dict[str, Any]:
        """Arguments of pydantic's `Field`: title, description and limits. Patterns are checked with the request."""
        title = f"{self.title}, {self.unit}" if self.unit else self.title
        limits = {"ge": self.minimum, "le": self.maximum}
        return {
            "title": title,
            "description": self.description,
            **{name: limit for name, limit in limits.items() if math.isfinite(limit)},
        }


def _whole_number(minimum: int) -> dict[str, Any]:
    return {"expected": f"a whole number, {minimum} or more", "minimum": minimum}


def _duration(minimum: int, limit: str) -> dict[str, Any]:
    return {"expected": f'a time {limit}: a number of seconds, or a text such as "24h"', "minimum": minimum}


def _one_of(choices: tuple[str, ...]) -> dict[str, Any]:
    *others, last = (f'"{choice}"' for choice in choices)
    return {"expected": f"{', '.join(others)} or {last}", "pattern": "|".join(choices)}


# The machine of a replica.

MACHINE_TYPE: JobField[str] = JobField(
    "machine_type",
    "Machine type",
    "Compute Engine machine type of each replica",
    "n1-standard-4",
    expected="a machine type",
    example="n1-standard-8",
    pattern=r"[a-z][a-z0-9]*(-[a-z0-9]+)+",
)
ACCELERATOR_TYPE: JobField[str | None] = JobField(
    "accelerator_type",
    "Accelerator",
    "GPU of each replica",
    None,
    expected="an accelerator",
    example="NVIDIA_L4",
    details="n1 machines take a T4, P4 or V100; a2, a3, g2 and the like come with their own.",
    pattern=r"[A-Z][A-Z0-9_]+",
)
ACCELERATOR_COUNT: JobField[int] = JobField(
    "accelerator_count", "Accelerators per replica", "Number of GPUs in each replica", 0, **_whole_number(0)
)
BOOT_DISK_GB: JobField[int] = JobField(
    "boot_disk_gb",
    "Boot disk",
    "Size of each replica's boot disk",
    100,
    expected="a whole number of gigabytes, 100 to 64,000",
    unit="GB",
    minimum=100,
    maximum=64_000,
)
BOOT_DISK_TYPE: JobField[str | None] = JobField(
    "boot_disk_type",
    "Boot disk type",
    "Kind of each replica's boot disk",
    None,
    details="Default: that of the machine type.",
    example="pd-ssd",
    **_one_of(DISK_TYPES),
)
TPU_TOPOLOGY: JobField[str | None] = JobField(
    "tpu_topology",
    "TPU topology",
    "Arrangement of the chips, for machines with TPUs",
    None,
    expected="a topology",
    example="2x2",
    pattern=r"\d+(x\d+){1,2}",
)

RESERVATION: JobField[str | None] = JobField(
    "reservation",
    "Reservation",
    "A reservation of Compute Engine whose machines the job uses",
    None,
    expected="a reservation's full name",
    format="projects/PROJECT/zones/ZONE/reservations/NAME",
    pattern=r"projects/[\w.:-]+/zones/(?P<region>[a-z0-9-]+)-[a-z]/reservations/[a-z0-9-]+",
)

# The pools of replicas.

REPLICAS: JobField[int] = JobField(
    "replicas", "Replicas", "How many machines work on the job: one primary, the others workers", 1, **_whole_number(1)
)
POOLS: JobField[None] = JobField(
    "pools",
    "Further pools",
    'Pools of machines by their role, as JSON: {"evaluator": {"replicas": 1}}',
    None,
    expected=f"a table of the tables {', '.join(get_args(Role))}",
)

LAUNCHER: JobField[Launcher] = JobField(
    "launcher",
    "Launcher",
    "What starts several processes of the script on each machine, with their ranks",
    "none",
    details="none leaves that to the script or its framework, as TensorFlow and JAX do.",
    **_one_of(get_args(Launcher)),
)
PROCESSES: JobField[str | int] = JobField(
    "processes",
    "Processes per machine",
    "How many processes the launcher starts on each machine",
    "gpu",
    expected='a whole number, 1 or more, or "gpu" for one on each GPU',
    pattern=r"gpu|\d+",
    minimum=1,
)

# How the job is scheduled.

TIMEOUT: JobField[float] = JobField(
    "timeout",
    "Time limit",
    "The job is stopped when it has run for this long",
    DAY,
    unit="seconds",
    **_duration(1, "of at least 1 second"),
)
STRATEGY: JobField[Strategy] = JobField(
    "strategy",
    "Strategy",
    "SPOT is cheaper and may be taken away; FLEX_START waits until there is a machine",
    "STANDARD",
    **_one_of(get_args(Strategy)),
)
MAX_WAIT: JobField[float | None] = JobField(
    "max_wait",
    "Longest wait",
    "How long FLEX_START may wait for machines; 0 waits for ever",
    None,
    details="Default: 24 hours, by Vertex AI.",
    unit="seconds",
    **_duration(0, "of 0 seconds or more"),
)
RESTARTS: JobField[Restarts] = JobField(
    "restarts",
    "Restarts",
    "What Vertex AI starts again by itself: nothing, a replica, or the whole job",
    "none",
    **_one_of(get_args(Restarts)),
)
ATTEMPTS: JobField[int] = JobField(
    "attempts",
    "Attempts",
    "How often the training script may be started, counting every retry by Prefect and by Vertex AI",
    3,
    **_whole_number(1),
)

MAX_COST: JobField[float | None] = JobField(
    "max_cost",
    "Largest cost",
    "All jobs of the run together may cost this much, by list prices; at that point the job is cancelled",
    None,
    expected="a number of USD, 0.01 or more",
    unit="USD",
    details="A job whose price is not known is refused before the build. A job on this machine costs nothing.",
    minimum=0.01,
    maximum=10_000_000,
)

# Where else the job may run when there are no machines.

FALLBACK: JobField[None] = JobField(
    "fallback",
    "Fall-back list",
    "Where else, and on what else, the job may run when there are no machines, one place a line",
    None,
    expected='"auto", or a list of tables',
    format="region=europe-west4,strategy=SPOT,wait=10m",
    details="The line auto stands for the allowed regions, the cheapest that has quota first. Empty: nowhere else.",
)
ALLOWED_REGIONS: JobField[None] = JobField(
    "allowed_regions",
    "Allowed regions",
    "The regions to which the list may go, one a line; auto needs them",
    None,
    expected='a list of regions, as ["europe-west4"]',
)
IGNORE_REGIONS: JobField[None] = JobField(
    "ignore_regions",
    "Ignored regions",
    "Regions of the list that are left out: they give no answer, and surely have none of its jobs",
    None,
    expected='a list of regions, as ["europe-west4"]',
)
WAIT: JobField[float | None] = JobField(
    "wait",
    "Wait for machines",
    "How long the job may be without machines, at each place of the list that names no time of its own",
    None,
    unit="seconds",
    details="Default: 15 minutes.",
    **_duration(0, "above 0"),
)
FALLBACK_ROUNDS: JobField[int] = JobField(
    "fallback_rounds",
    "Rounds",
    "How many times the job goes through its list",
    2,
    expected="a whole number, 1 to 20",
    minimum=1,
    maximum=20,
)
FALLBACK_BUCKET: JobField[str | None] = JobField(
    "fallback_bucket",
    "Fall-back bucket",
    "The bucket for output in another region",
    None,
    expected="the name of a bucket with {region} in it",
    example="training-{region}",
)

# The job's surroundings in the cloud.

SERVICE_ACCOUNT: JobField[str | None] = JobField(
    "service_account",
    "Service account",
    "The account under which the job runs",
    None,
    expected="a service account's e-mail address",
    format="NAME@PROJECT.iam.gserviceaccount.com",
    details="Default: the project's default account.",
    pattern=r"[\w.-]+@[\w.-]+\.[a-z]+",
)
NETWORK: JobField[str | None] = JobField(
    "network",
    "Network",
    "A VPC network to peer the job with",
    None,
    expected="a network's full name, with the project's number",
    format="projects/PROJECT_NUMBER/global/networks/NAME",
    pattern=r"projects/\d+/global/networks/[a-z0-9-]+",
)
TENSORBOARD: JobField[str | None] = JobField(
    "tensorboard",
    "TensorBoard",
    "The TensorBoard that shows the job's logs",
    None,
    expected="a TensorBoard's full name",
    format="projects/PROJECT/locations/REGION/tensorboards/NUMBER",
    details="It needs a service account.",
    pattern=r"projects/[\w.:-]+/locations/(?P<region>[a-z0-9-]+)/tensorboards/\d+",
)
PERSISTENT_RESOURCE: JobField[str | None] = JobField(
    "persistent_resource",
    "Persistent resource",
    "The id of a persistent resource: jobs run on its machines, which are kept, instead of new ones",
    None,
    expected="a persistent resource's id (the last part of its full name)",
    pattern=r"[a-z]([a-z0-9-]{0,126}[a-z0-9])?",
)
ENCRYPTION_KEY: JobField[str | None] = JobField(
    "encryption_key",
    "Encryption key",
    "A key of Cloud KMS that encrypts what Vertex AI keeps of the job",
    None,
    expected="a key's full name",
    format="projects/PROJECT/locations/REGION/keyRings/RING/cryptoKeys/KEY",
    details="It must be in the job's region, and Vertex AI's service agent must be allowed to use it.",
    pattern=r"projects/(?P<project>[\w.:-]+)/locations/(?P<region>[a-z0-9-]+)"
    r"/keyRings/(?P<ring>[\w-]+)/cryptoKeys/(?P<name>[\w-]+)",
)
WEB_ACCESS: JobField[bool] = JobField(
    "web_access",
    "Web access",
    "A shell in the running containers, from the console",
    False,
    expected="true or false",
)
LABELS: JobField[None] = JobField(
    "labels",
    "Labels",
    'Labels of the job, in lowercase, as JSON: {"cost-centre": "4711"}',
    None,
    expected="a table of label names and values",
)

# What runs, and where it writes.

DISPLAY_NAME: JobField[str] = JobField(
    "display_name", "Name", "The job's name in the console", "training", expected="a name of 1 to 128 characters"
)
IMAGE: JobField[None] = JobField(
    "image", "Image", "The image by digest", None, format="HOST/PATH@sha256:DIGEST", expected="an image reference"
)
ARGS: JobField[None] = JobField("args", "Arguments", "Arguments of the training script, one word a line", None)
COMMAND: JobField[None] = JobField("command", "Command", "Replaces the image's entry point, one word a line", None)
ENV: JobField[None] = JobField("env", "Environment", 'Environment variables, as JSON: {"NAME": "value"}', None)
SECRET_ENV: JobField[None] = JobField(
    "secret_env",
    "Secret environment",
    'Variables whose values are secrets, and where each comes from, as JSON: {"WANDB_API_KEY": "block:wandb-key"}',
    None,
    details="block: is a saved Secret block, env: a variable of this machine for local jobs, secret-manager: a version "
    "in Google's Secret Manager, which the job itself reads if its image was built by this package for a project with "
    "secret-env. Whoever may read the job sees the values of the first two.",
)
OUTPUT: JobField[str | None] = JobField(
    "output",
    "Output",
    "The folder that the job writes to",
    None,
    expected="a folder in a Cloud Storage bucket",
    format="gs://BUCKET/FOLDER",
    details="Default: a new folder in the VertexAI block's bucket.",
    pattern=r"gs://[a-z0-9][a-z0-9._-]{0,221}(/[^\r\n]*)?",
)

MACHINE_FIELDS: tuple[JobField[Any], ...] = (
    MACHINE_TYPE,
    ACCELERATOR_TYPE,
    ACCELERATOR_COUNT,
    BOOT_DISK_GB,
    BOOT_DISK_TYPE,
    TPU_TOPOLOGY,
    RESERVATION,
)
"""The fields that describe one replica's hardware."""

JOB_FIELDS: tuple[JobField[Any], ...] = (
    *MACHINE_FIELDS,
    REPLICAS,
    POOLS,
    LAUNCHER,
    PROCESSES,
    TIMEOUT,
    STRATEGY,
    MAX_WAIT,
    RESTARTS,
    ATTEMPTS,
    MAX_COST,
    FALLBACK,
    ALLOWED_REGIONS,
    IGNORE_REGIONS,
    WAIT,
    FALLBACK_ROUNDS,
    FALLBACK_BUCKET,
    SERVICE_ACCOUNT,
    NETWORK,
    TENSORBOARD,
    PERSISTENT_RESOURCE,
    ENCRYPTION_KEY,
    WEB_ACCESS,
    LABELS,
    DISPLAY_NAME,
    IMAGE,
    ARGS,
    COMMAND,
    ENV,
    SECRET_ENV,
    OUTPUT,
)
"""Every field of a training job."""
