"""The run form: the schema that Prefect's UI draws it from, and what its machine card changes."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

import pytest
from prefect.exceptions import ParameterTypeError
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools import validate
from prefect.utilities.schema_tools.validation import is_valid
from prefect_vertex_training.core.errors import ProjectError
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.core.job_options import Machine
from prefect_vertex_training.core.machine_types import BUILT_IN_ACCELERATORS, CLOUD_TPU_ACCELERATORS, N1_ACCELERATORS
from prefect_vertex_training.flows.form import PROJECTS, Accelerator, RunMachine, with_choices
from prefect_vertex_training.flows.run_name import run_name, run_tags
from prefect_vertex_training.flows.train import train
from prefect_vertex_training.project.settings.job_settings import JobSettings
from prefect_vertex_training.project.settings.settings import load
from prefect_vertex_training.project.snapshot import Project

JOB = JobSettings(machine=Machine("n1-standard-8", "NVIDIA_TESLA_T4", 2), replicas=3, attempts=5)


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """As a deployment stores it."""
    return parameter_schema(train).model_dump()


def test_every_field_has_a_title_and_a_description(schema: dict[str, Any]) -> None:
    """The parameters in a card too."""
    fields = {**schema["properties"], **schema["definitions"]["RunMachine"]["properties"]}

    assert [name for name, field in fields.items() if field["title"] in {name, ""}] == []
    assert [name for name, field in fields.items() if not field.get("description", "").endswith(".")] == []
    assert schema["required"] == ["project"]


def test_blocks_are_picked_from_a_list_and_choices_from_a_menu(schema: dict[str, Any]) -> None:
    """No union, which the form shows as tabs."""
    fields, definitions = schema["properties"], schema["definitions"]
    blocks = [fields["registry"], fields["vertex"], definitions[fields["git_token"]["$ref"].rpartition("/")[2]]]

    assert [block["block_type_slug"] for block in blocks] == [
        "container-registry-for-training",
        "vertex-ai-training",
        "secret",
    ]
    assert "anyOf" not in str(fields)
    assert fields["builder"]["enum"] == ["auto", "direct", "docker"]


def test_every_accelerator_can_be_chosen() -> None:
    """Those of the rules, and two words."""
    built_in = {accelerator for accelerator, _ in BUILT_IN_ACCELERATORS.values()}
    known = {*N1_ACCELERATORS, *CLOUD_TPU_ACCELERATORS, *built_in}

    assert set(get_args(Accelerator)) == {PROJECTS, "none", *known}


@pytest.mark.parametrize(
    "wrong",
    [
        {"project": ""},
        {"builder": "podman"},
        {"args": "--epochs"},
        {"machine": {"machine_type": "N1 standard"}},
        {"machine": {"accelerator_type": "T4"}},
        {"machine": {"accelerator_count": -1}},
        {"machine": {"replicas": 1.5}},
        {"machine": {"strategy": "spot"}},
        {"machine": {"time_limit": 169}},
    ],
)
def test_wrong_values_are_refused_by_the_server_and_in_python(schema: dict[str, Any], wrong: dict[str, Any]) -> None:
    """Before a run exists, or as its first error."""
    values = {"project": "/srv/digits", **wrong}

    assert not is_valid(values, schema)
    with pytest.raises(ParameterTypeError):
        train.validate_parameters(values)


def test_what_the_form_sends_unchanged_is_valid(schema: dict[str, Any]) -> None:
    """Every default; nothing for a block that wasn't picked, which is None in Python."""
    values = {
        name: field["default"] for name, field in schema["properties"].items() if field.get("default") is not None
    }
    validate({"project": "/srv/digits", **values}, schema, raise_on_error=True)
    validated = train.validate_parameters({"project": "/srv/digits", "registry": None, **values})

    assert validated["machine"].applied_to(JOB) == JOB
    assert validated["registry"] is None


@pytest.mark.parametrize(
    ("chosen", "wanted"),
    [
        ({}, ("n1-standard-8", "NVIDIA_TESLA_T4", 2)),
        ({"machine_type": "n1-standard-16"}, ("n1-standard-16", "NVIDIA_TESLA_T4", 2)),
        ({"accelerator_type": "NVIDIA_TESLA_T4"}, ("n1-standard-8", "NVIDIA_TESLA_T4", 2)),
        ({"accelerator_type": "NVIDIA_TESLA_V100"}, ("n1-standard-8", "NVIDIA_TESLA_V100", 1)),
        ({"accelerator_count": 4}, ("n1-standard-8", "NVIDIA_TESLA_T4", 4)),
        ({"accelerator_type": "none", "machine_type": "e2-standard-4"}, ("e2-standard-4", None, 0)),
        (
            {"machine_type": "g2-standard-24", "accelerator_type": "NVIDIA_L4", "accelerator_count": 2},
            ("g2-standard-24", "NVIDIA_L4", 2),
        ),
    ],
)
def test_the_card_changes_only_what_was_chosen(chosen: dict[str, Any], wanted: tuple[str, str | None, int]) -> None:
    """The rest stays as the project says."""
    job = RunMachine(**chosen).applied_to(JOB)

    assert (job.machine.machine_type, job.machine.accelerator_type, job.machine.accelerator_count) == wanted
    assert (job.replicas, job.timeout, job.attempts) == (3, JOB.timeout, 5)


def test_replicas_strategy_and_the_time_limit_of_a_run() -> None:
    """Hours become seconds."""
    job = RunMachine(replicas=2, strategy="SPOT", time_limit=1.5).applied_to(JOB)

    assert (job.replicas, job.strategy, job.timeout) == (2, "SPOT", 5400)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project whose settings name a machine."""
    folder = tmp_path / "digits"
    folder.mkdir()
    (folder / "train.py").touch()
    (folder / "pyproject.toml").write_text('[tool.vertex-training]\nmachine-type = "n1-standard-8"\n')
    return folder


def opened(folder: Path, home: Path, machine: RunMachine, *, translate: bool = False) -> Project:
    """The project as a run with these choices opens it."""
    choices = partial(with_choices, machine=machine, verify="locked", freeze="auto", translate=translate)
    return Project.open(folder, Home(home), adjust=choices)


def test_a_run_is_called_after_the_machine_it_chose(folder: Path, tmp_path: Path) -> None:
    """Name and tags follow the card; what the card leaves alone stays the project's."""
    unchanged = opened(folder, tmp_path / "home", RunMachine())
    changed = opened(folder, tmp_path / "home", RunMachine(machine_type="g2-standard-12", accelerator_type="NVIDIA_L4"))

    assert run_name(unchanged, "europe-west4").endswith(" on n1-standard-8")
    assert run_name(changed, "europe-west4").endswith(" on g2-standard-12 with 1 NVIDIA_L4")
    assert "g2-standard-12" in run_tags(changed, "europe-west4")


def test_a_snapshot_is_whole_when_it_is_opened(folder: Path, tmp_path: Path) -> None:
    """It has the run's choices from the beginning; choices that don't shape the image leave its fingerprint alone."""
    own = Project.open(folder, Home(tmp_path / "home"))
    chosen = opened(folder, tmp_path / "home", RunMachine(replicas=2), translate=True)

    assert (chosen.settings.verify, chosen.settings.translate, chosen.settings.job.replicas) == ("locked", True, 2)
    assert chosen.fingerprint == own.fingerprint


@pytest.mark.parametrize(
    ("own", "asked", "verify", "rehearsed"),
    [
        (True, False, "auto", True),
        (False, True, "locked", True),
        (True, False, "off", False),
        (False, True, "off", None),
        (True, True, "image", None),
    ],
)
def test_a_second_start_needs_a_local_run(
    folder: Path, *, own: bool, asked: bool, verify: str, rehearsed: bool | None
) -> None:
    """Asked for without a local run it is one line; a run without one leaves the project's wish out too."""
    settings = replace(load(folder), verify_resume=own)
    choose = partial(with_choices, settings, RunMachine(), freeze="auto", translate=False, verify_resume=asked)
    if rehearsed is None:
        with pytest.raises(ProjectError, match="verify-resume starts the script on this machine"):
            choose(verify=verify)
    else:
        assert choose(verify=verify).verify_resume == rehearsed
