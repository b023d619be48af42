"""A training job's fields are defined once: no second definition, description or limit anywhere in the package."""

from __future__ import annotations

import ast
import re
from collections import Counter
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import pytest
from prefect_vertex_training.blocks.training_job import VertexTrainingJob
from prefect_vertex_training.blocks.vertex_ai import VertexAI
from prefect_vertex_training.core.job_fields import JOB_FIELDS, JobField
from prefect_vertex_training.core.job_options import Machine, Pool
from prefect_vertex_training.core.machine_types import (
    BUILT_IN_ACCELERATORS,
    CLOUD_TPU_ACCELERATORS,
    MACHINE_TYPES,
    N1_ACCELERATORS,
    AcceleratorType,
    may_be_offered,
)
from prefect_vertex_training.flows.form import RunMachine
from prefect_vertex_training.project.settings.job_settings import JOB_KEYS, JobSettings
from prefect_vertex_training.vertex.job_types import JobRequest
from pydantic import BaseModel

ROOT = Path(__file__).resolve().parents[1]
CODE = ["blocks", "cli", "core", "deployments", "flows", "images", "local_vertex", "project", "tasks", "vertex"]
FIELDS = {field.name: field for field in JOB_FIELDS}
GROUPS = {"machine", "secret_env"}
"""Fields that only hold others, or that the settings of a project alone have."""
DATACLASSES = [Machine, Pool, JobSettings, JobRequest]
OTHER_NAMES = {"time_limit": "timeout"}
"""The form asks for hours, under a name of its own."""
NOT_ABOUT_THE_JOB = {"vertex_ai", "project", "region", "bucket", "credentials", "endpoint", "token"} | {
    "settle_seconds",
    "backoff_seconds",
    "allow_secrets",
}
"""Fields of the blocks that say where jobs run or what is checked, not what a job is."""


def texts() -> Counter[str]:
    """How often each text stands in the package's source."""
    trees = [ast.parse(path.read_text()) for folder in CODE for path in (ROOT / folder).rglob("*.py")]
    nodes = (node for tree in trees for node in ast.walk(tree))
    return Counter(node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))


def own_fields(model: type[BaseModel]) -> dict[str, Any]:
    """The fields of a block or form, without those that Prefect's Block has, by the job field's name."""
    return {
        OTHER_NAMES.get(name, name): info
        for name, info in model.model_fields.items()
        if name not in NOT_ABOUT_THE_JOB and not name.startswith("_") and name != "block_type_slug"
    }


def test_each_text_stands_in_one_place() -> None:
    """Meaning, details, format and pattern of a field are written once in all of the package."""
    found = texts()
    sentences = {text for field in JOB_FIELDS for text in (field.meaning, field.details) if text}
    forms = {text for field in JOB_FIELDS for text in (field.format, field.pattern) if text}
    # The patterns of choices are made of the choices, and several fields share the pattern of any text.
    written = {text for text in forms if text in found and text != JobField.__dataclass_fields__["pattern"].default}

    assert {text: found[text] for text in written if found[text] != 1} == {}
    where = {text: [other for other in found.elements() if text in other] for text in sentences}
    assert {text: others for text, others in where.items() if len(others) != 1} == {}


@pytest.mark.parametrize("kind", DATACLASSES)
def test_no_class_has_a_field_of_its_own(kind: type[Any]) -> None:
    """The settings and the request have no field that the table doesn't know."""
    assert {field.name for field in fields(kind)} - FIELDS.keys() - GROUPS == set()


@pytest.mark.parametrize("kind", DATACLASSES)
def test_the_defaults_are_the_tables(kind: type[Any]) -> None:
    """A default of a field is written in the table alone."""
    own = {field.name: field.default for field in fields(kind) if field.name in FIELDS}
    plain = {name: value for name, value in own.items() if isinstance(value, (str, int, float))}

    assert {name: value for name, value in plain.items() if value != FIELDS[name].default} == {}


@pytest.mark.parametrize("model", [VertexTrainingJob, VertexAI, RunMachine])
def test_blocks_and_form_take_their_texts_from_the_table(model: type[BaseModel]) -> None:
    """Title and description of each field begin as the table's; no field is unknown to it."""
    own = own_fields(model)

    assert own.keys() - FIELDS.keys() == set()
    assert [name for name, info in own.items() if not info.title.startswith(FIELDS[name].title)] == []
    assert [name for name, info in own.items() if not info.description.startswith(FIELDS[name].description)] == []


def test_the_block_has_the_tables_defaults_and_limits() -> None:
    """What is optional there has the same default as a job of a project."""
    schema = VertexTrainingJob.model_json_schema()["properties"]
    defaults = {
        name: info.default
        for name, info in own_fields(VertexTrainingJob).items()
        if not info.is_required() and info.default_factory is None
    }

    assert defaults == {name: FIELDS[name].default for name in defaults}
    limits = {name: (field.get("minimum"), field.get("maximum")) for name, field in schema.items()}
    assert {name: limit for name, limit in limits.items() if any(limit)} == {
        **{
            name: (FIELDS[name].minimum, FIELDS[name].maximum)
            for name in ("boot_disk_gb", "max_cost", "fallback_rounds")
        },
        **{name: (FIELDS[name].minimum, None) for name in ("replicas", "timeout", "attempts")},
    }
    assert limits["accelerator_count"] == limits["max_wait"] == (0, None)


def test_the_keys_in_pyproject_are_the_tables() -> None:
    """Each key is a field's, with its rule, and every field of the settings can be set."""
    assert {key: rule for key, (rule, _) in JOB_KEYS.items()} == {
        field.key: field.rule for field in JOB_FIELDS if field.key in JOB_KEYS
    }
    settable = {field.name for kind in (Machine, JobSettings) for field in fields(kind)} - GROUPS
    assert {key.replace("-", "_") for key in JOB_KEYS} == settable


@pytest.mark.parametrize("field", JOB_FIELDS, ids=lambda field: field.name)
def test_examples_and_defaults_are_valid(field: JobField[Any]) -> None:
    """What a description shows passes the field's own pattern and limits."""
    for text in filter(None, (field.example, field.default if isinstance(field.default, str) else "")):
        assert re.fullmatch(field.pattern, text)
    if isinstance(field.default, (int, float)):
        assert field.minimum <= field.default <= field.maximum
    assert field.description.endswith(".")


def test_the_machine_table_holds_together() -> None:
    """Every accelerator that a machine has is in the list of names, and every listed machine may be offered."""
    built_in = {accelerator for accelerator, _ in BUILT_IN_ACCELERATORS.values()}
    used = {*N1_ACCELERATORS, *CLOUD_TPU_ACCELERATORS, *built_in}

    assert used == set(get_args(AcceleratorType))
    assert [name for name in MACHINE_TYPES if not may_be_offered(name)] == []


def test_accelerator_names_stand_in_one_module() -> None:
    """No second table of accelerators: other modules name at most one as an example."""
    names = set(get_args(AcceleratorType))
    found = {}
    for folder in CODE:
        for path in (ROOT / folder).rglob("*.py"):
            constants = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant))
            if len(here := {node.value for node in constants if node.value in names}) > 1:
                found[path.relative_to(ROOT).as_posix()] = here

    assert list(found) == ["core/machine_types.py"]
