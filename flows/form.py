"""The fields of Prefect's run form: titles, a card for the machine, and pickers for saved blocks."""

# No `from __future__ import annotations` here, for the reason given in train.py.

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from pydantic import BaseModel, Field, GetJsonSchemaHandler
from pydantic_core import CoreSchema

from ..core.errors import ProjectError
from ..core.job_fields import (
    ACCELERATOR_COUNT,
    ACCELERATOR_TYPE,
    LAUNCHER,
    MACHINE_TYPE,
    MAX_COST,
    PROCESSES,
    REPLICAS,
    STRATEGY,
    TIMEOUT,
    JobField,
    Launcher,
    Strategy,
)
from ..core.job_options import Machine
from ..core.machine_types import AcceleratorType
from ..project.settings.data_settings import check_places, flagged
from ..project.settings.fallback_settings import with_given
from ..project.settings.job_settings import JobSettings
from ..project.settings.settings import Freeze, Settings, Verify

PROJECTS = "project setting"
"""The choice that leaves a field to the project's own settings."""

Accelerator = Literal["project setting", "none", AcceleratorType]
FormStrategy = Literal["project setting", Strategy]
FormLauncher = Literal["project setting", Launcher]


def titled(title: str, *, pattern: str = "") -> Any:  # noqa: ANN401 - as pydantic's Field
    """A field's title in the form, where Prefect would show the parameter's name.

    Args:
        title: The title.
        pattern: A regular expression, as JSON Schema has them, that the form and the server check.
    """
    return Field(json_schema_extra={"title": title, **({"pattern": pattern} if pattern else {})})


class Picker:
    """Annotation of an optional block that the form offers as a list; Prefect shows a union with None as two tabs."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """The block's own schema, which also allows null: the form sends null where no block was picked."""
        (block,) = [choice for choice in handler(schema)["anyOf"] if choice.get("type") != "null"]
        handler.resolve_ref_schema(block)["type"] = ["object", "null"]
        return block


def _card_field(field: JobField[Any], position: int, unchosen: str = "", **changes: object) -> dict[str, Any]:
    """Arguments of pydantic's `Field` for a job's field in the card.

    Args:
        field: The job's field.
        position: Place in the card, from 0.
        unchosen: Which value leaves the field to the project; added to the description.
        changes: Arguments in place of the field's own.
    """
    description = f"{field.description} {unchosen}".strip()
    return {**field.form, "description": description, "json_schema_extra": {"position": position}, **changes}


class RunMachine(BaseModel):
    """What this run changes of the machine that the project's own settings ask for."""

    machine_type: str = Field(
        default="",
        **_card_field(
            MACHINE_TYPE,
            0,
            "Empty: project setting.",
            pattern=f"^({MACHINE_TYPE.pattern})?$",
            examples=["n1-standard-8", "g2-standard-12"],
        ),
    )
    accelerator_type: Accelerator = Field(default=PROJECTS, **_card_field(ACCELERATOR_TYPE, 1))
    accelerator_count: int = Field(
        default=0,
        **_card_field(
            ACCELERATOR_COUNT, 2, "0: project setting, or 1 where only an accelerator is chosen here.", le=16
        ),
    )
    # 1000 guards against slips of the keyboard; Vertex AI names no limit.
    replicas: int = Field(default=0, **_card_field(REPLICAS, 3, "0: project setting.", ge=0, le=1000))
    strategy: FormStrategy = Field(default=PROJECTS, **_card_field(STRATEGY, 4))
    time_limit: float = Field(
        default=0.0,
        **_card_field(TIMEOUT, 5, "0: project setting.", title=f"{TIMEOUT.title}, hours", ge=0, le=7 * 24),
    )
    max_cost: float = Field(default=0.0, **_card_field(MAX_COST, 6, "0: project setting.", ge=0))
    launcher: FormLauncher = Field(default=PROJECTS, **_card_field(LAUNCHER, 7))
    processes: int = Field(default=0, **_card_field(PROCESSES, 8, "0: project setting.", ge=0, le=64))

    def applied_to(self, job: JobSettings) -> JobSettings:
        """The project's job with what was chosen here in place of its own settings."""
        return replace(
            job,
            machine=self._machine(job.machine),
            replicas=self.replicas or job.replicas,
            strategy=job.strategy if self.strategy == PROJECTS else self.strategy,
            timeout=self.time_limit * 3600 or job.timeout,
            max_cost=self.max_cost or job.max_cost,
            launcher=job.launcher if self.launcher == PROJECTS else self.launcher,
            processes=self.processes or job.processes,
        )

    def _machine(self, machine: Machine) -> Machine:
        if self.machine_type:
            machine = replace(machine, machine_type=self.machine_type)
        if self.accelerator_type == "none":
            machine = replace(machine, accelerator_type=None, accelerator_count=0)
        elif self.accelerator_type != PROJECTS:
            same = machine.accelerator_type == self.accelerator_type
            count = machine.accelerator_count if same else 1
            machine = replace(machine, accelerator_type=self.accelerator_type, accelerator_count=count)
        return replace(machine, accelerator_count=self.accelerator_count or machine.accelerator_count)


def with_choices(
    own: Settings,
    machine: RunMachine,
    *,
    verify: Literal["auto", Verify],
    freeze: Freeze,
    translate: bool,
    data: Sequence[str] = (),
    verify_resume: bool = False,
    fallback: Sequence[str] = (),
    allowed_regions: Sequence[str] = (),
) -> Settings:
    """A project's settings with a run's choices in place of its own.

    Args:
        own: The project's settings.
        machine: The run's machine card.
        verify: How the script is run here; auto leaves the project's own choice.
        freeze: Which list of dependencies is used; auto leaves the project's own choice.
        translate: Whether a conda list is translated in this run, even if the project's own choice is not to.
        verify_resume: Whether the local run rehearses a second start, even if the project's own choice is not to.
        data: Data sets beside those of the project, or in their place, as NAME=PATH.
        fallback: The fall-back list in place of the project's; empty leaves that.
        allowed_regions: Regions to which data may go, in place of the project's; empty leaves those.

    Raises:
        ProjectError: A data set has another form, or would hold the script; or a choice excludes another one.
    """
    resumes, local_run = own.verify_resume or verify_resume, own.verify if verify == "auto" else verify
    # Where the run itself leaves the local run out, the project's own wish to rehearse is left out, too.
    resumes = resumes and (verify_resume or verify == "auto" or local_run not in {"off", "image"})
    if resumes and local_run in {"off", "image"}:
        raise ProjectError(
            f'verify-resume starts the script on this machine, and verify = "{local_run}" doesn\'t',
            where=own.root,
            next_step='Set verify = "here" or "locked", or leave verify-resume out',
        )
    named = {each.name: each for each in (*own.data, *flagged(data))}
    check_places(named.values(), own.script, own.root)
    return replace(
        own,
        data=tuple(named.values()),
        verify=local_run,
        freeze=own.freeze if freeze == "auto" else freeze,
        translate=own.translate or translate,
        verify_resume=resumes,
        job=machine.applied_to(own.job),
        fallback=with_given(own.fallback, fallback, allowed_regions),
    )
