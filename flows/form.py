"""What Prefect's run form shows: titles, a card for the machine, pickers for blocks."""

# Annotations stay types here, for the reason that train.py gives.

from dataclasses import replace
from typing import Any, Literal

from pydantic import BaseModel, Field, GetJsonSchemaHandler
from pydantic_core import CoreSchema

from ..project.settings.settings import Freeze
from ..project.snapshot import Project
from ..vertex.job_types import JobRequest, Machine
from .job_request import machine

PROJECTS = "as the project says"
"""The choice that leaves a field to the project's own settings."""

Accelerator = Literal[
    "as the project says",
    "none",
    "NVIDIA_TESLA_T4",
    "NVIDIA_L4",
    "NVIDIA_TESLA_P4",
    "NVIDIA_TESLA_P100",
    "NVIDIA_TESLA_V100",
    "NVIDIA_TESLA_A100",
    "NVIDIA_A100_80GB",
    "NVIDIA_H100_80GB",
    "NVIDIA_H100_MEGA_80GB",
    "NVIDIA_H200_141GB",
    "NVIDIA_B200",
    "NVIDIA_GB200",
    "NVIDIA_RTX_PRO_6000",
]


def titled(title: str) -> Any:  # noqa: ANN401 - as pydantic's Field
    """A field's title in the form; Prefect would show the parameter's name."""
    return Field(json_schema_extra={"title": title})


class Picker:
    """Lets an optional block be picked from a list: a union with None is shown as two tabs."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """The block's own schema. It admits null, for that is what the form sends where nothing was picked."""
        (block,) = [choice for choice in handler(schema)["anyOf"] if choice.get("type") != "null"]
        handler.resolve_ref_schema(block)["type"] = ["object", "null"]
        return block


class RunMachine(BaseModel):
    """What this run changes of the machine that the project's own settings ask for."""

    machine_type: str = Field(
        default="",
        title="Machine type",
        pattern=r"^([a-z][a-z0-9]*(-[a-z0-9]+)+)?$",
        description="As Compute Engine names it, such as n1-standard-8; empty: as the project says.",
        examples=["n1-standard-8", "g2-standard-12"],
        json_schema_extra={"position": 0},
    )
    accelerator_type: Accelerator = Field(
        default=PROJECTS,
        title="Accelerator",
        description="n1 machines take a T4, P4, P100 or V100; a2, a3, g2 and the like come with their own.",
        json_schema_extra={"position": 1},
    )
    accelerator_count: int = Field(
        default=0,
        ge=0,
        le=16,
        title="Accelerators a replica",
        description="0: as the project says, or one where only an accelerator is chosen here.",
        json_schema_extra={"position": 2},
    )
    replicas: int = Field(
        default=0,
        ge=0,
        le=1000,
        title="Replicas",
        description="How many machines work on the job; 0: as the project says.",
        json_schema_extra={"position": 3},
    )
    strategy: Literal["as the project says", "STANDARD", "SPOT", "FLEX_START"] = Field(
        default=PROJECTS,
        title="Strategy",
        description="SPOT is cheaper and may be taken away; FLEX_START waits until there is a machine.",
        json_schema_extra={"position": 4},
    )
    time_limit: float = Field(
        default=0.0,
        ge=0,
        le=7 * 24,
        title="Time limit, hours",
        description="After these the job is stopped; 0: as the project says.",
        json_schema_extra={"position": 5},
    )

    def chosen(self, machine: Machine) -> Machine:
        """The project's machine with what was chosen here in its place."""
        if self.machine_type:
            machine = replace(machine, machine_type=self.machine_type)
        if self.accelerator_type == "none":
            machine = replace(machine, accelerator_type=None, accelerator_count=0)
        elif self.accelerator_type != PROJECTS:
            same = machine.accelerator_type == self.accelerator_type
            count = machine.accelerator_count if same else 1
            machine = replace(machine, accelerator_type=self.accelerator_type, accelerator_count=count)
        return replace(machine, accelerator_count=self.accelerator_count or machine.accelerator_count)

    def applied(self, request: JobRequest) -> JobRequest:
        """The request with what was chosen here in the place of the project's."""
        return replace(
            request,
            machine=self.chosen(request.machine),
            replicas=self.replicas or request.replicas,
            strategy=request.strategy if self.strategy == PROJECTS else self.strategy,
            timeout=self.time_limit * 3600 or request.timeout,
        )


def choose(project: Project, *, verify: Literal["auto", "here", "locked"], freeze: Freeze, translate: bool) -> None:
    """Puts the run's choices into the project's settings; auto leaves the project's own."""
    own = project.settings
    project.settings = replace(
        own,
        verify=own.verify if verify == "auto" else verify,
        freeze=own.freeze if freeze == "auto" else freeze,
        translate=own.translate or translate,
    )


def choose_machine(project: Project, card: RunMachine) -> None:
    """Puts the job's machine into the project's settings: dependencies and the run's name go by it."""
    job = project.settings.job
    wanted = card.chosen(machine(job.machine))
    hardware = replace(
        job.machine,
        machine_type=wanted.machine_type,
        accelerator_type=wanted.accelerator_type,
        accelerator_count=wanted.accelerator_count,
    )
    project.settings = replace(project.settings, job=replace(job, machine=hardware))
