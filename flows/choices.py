"""What a run chooses over its project's own settings."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from ..project.settings import Freeze
from ..project.snapshot import Project
from ..vertex.model import Machine


def choose(project: Project, *, verify: Literal["auto", "here", "locked"], freeze: Freeze, translate: bool) -> None:
    """Puts the run's choices into the project's settings; auto leaves the project's own."""
    own = project.settings
    project.settings = replace(
        own,
        verify=own.verify if verify == "auto" else verify,
        freeze=own.freeze if freeze == "auto" else freeze,
        translate=own.translate or translate,
    )


def choose_machine(project: Project, machine: Machine) -> None:
    """Lets the project's dependencies be judged for the machine that the job gets."""
    job = project.settings.job
    hardware = replace(
        job.machine,
        machine_type=machine.machine_type,
        accelerator_type=machine.accelerator_type,
        accelerator_count=machine.accelerator_count,
    )
    project.settings = replace(project.settings, job=replace(job, machine=hardware))
