"""What a run chooses over its project's own settings."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from ..project.settings import Freeze
from ..project.snapshot import Project
from .form import RunMachine
from .request import machine


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
