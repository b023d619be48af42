"""The layers: which part of the package may import which, and how modules are sized and named."""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from functools import cache

import pytest
from fixtures.suite.module_graph import (
    PACKAGE,
    ROOT,
    Import,
    Module,
    cycles,
    imports_between,
    modules,
    top_level_folders,
)

# What each part may import beside itself and what lies below it: `images/build.py` may use all of `images/`. A part is
# a folder or a module; a module belongs to the longest entry that its name begins with, and an allowed name covers
# everything below it. The standard library and dependencies are not listed.
MAY_IMPORT: dict[str, set[str]] = {
    ".": {"blocks", "core", "flows", "images", "project", "tasks", "vertex"},
    "__main__": {"cli"},
    # Shared by all engines.
    "core/security": {"core", "runtime"},
    "core/bucket_mount": set(),
    "core": set(),
    # What runs inside of jobs, with the image's own Python.
    "runtime": set(),
    # Engine of verify and freeze.
    "project/settings": {"core"},
    "project/secrets": {"core"},
    "project/files": {"core", "project/settings", "project/secrets"},
    "project/dependencies/formats": {"core", "project/settings"},
    "project/dependencies/uv": {"core", "project/dependencies/formats"},
    "project/dependencies/lists": {
        *("core", "project/settings", "project/dependencies/formats", "project/dependencies/uv"),
    },
    "project/dependencies": {"core", "project/settings"},
    "project/local_run": {
        *("core", "runtime", "local_vertex/storage", "project/settings", "project/files", "project/dependencies"),
    },
    "project": {"core"},
    # Engine of build and push.
    "images/layers": {"core"},
    "images/oci": {"core", "images/layers"},
    "images/registry": {"core", "images/oci"},
    "images/base": {"core", "images/layers", "images/oci", "images/registry"},
    "images/docker": {"core", "images/layers", "images/oci", "images/registry"},
    "images/buildkit": {"core", "images/oci", "images/registry", "images/base", "images/docker"},
    "images/pipeline": {"core", "images/layers", "images/oci", "images/registry", "images/base"},
    "images/wheels": {"core", "images/layers", "images/oci", "images/registry", "images/pipeline"},
    "images/code": {"core", "images/layers", "images/oci", "images/registry", "images/pipeline"},
    "images": {"core", "runtime"},
    # Vertex AI on this machine.
    "local_vertex/store": {"core"},
    "local_vertex/faults": {"core"},
    "local_vertex/location": {"core"},
    "local_vertex/lent_logins": set(),
    "local_vertex/tls_certificate": set(),
    "local_vertex/endpoint": {"core", "local_vertex/location"},
    "local_vertex/client": {"core", "local_vertex/endpoint"},
    "local_vertex/storage/http": {"core"},
    "local_vertex/storage/objects": {"core", "local_vertex/storage/http"},
    "local_vertex/storage/served": {"core", "local_vertex/storage/http", "local_vertex/storage/objects"},
    "local_vertex/storage": {"core"},
    "local_vertex/lifecycle": {"core", "local_vertex/client", "local_vertex/endpoint", "local_vertex/storage"},
    "local_vertex/api": {"core", "local_vertex/faults", "local_vertex/location", "local_vertex/store"},
    "local_vertex/execution/replica": {
        *("core", "images/oci", "images/registry"),
        *("local_vertex/faults", "local_vertex/lent_logins", "local_vertex/location"),
        *("local_vertex/store", "local_vertex/storage"),
    },
    "local_vertex/execution/process/supervisor": set(),
    "local_vertex/execution/process": {
        *("core", "images/layers", "images/oci"),
        *("local_vertex/execution/replica", "local_vertex/execution/process/supervisor"),
    },
    "local_vertex/execution/container": {"core", "images/docker", "images/oci", "local_vertex/execution/replica"},
    "local_vertex/execution": {
        *("core", "local_vertex/faults", "local_vertex/lent_logins", "local_vertex/location", "local_vertex/store"),
        *("local_vertex/execution/replica", "local_vertex/execution/process", "local_vertex/execution/container"),
    },
    "local_vertex/cloud": {
        *("core", "local_vertex/api", "local_vertex/endpoint", "local_vertex/faults", "local_vertex/location"),
        "local_vertex/storage",
    },
    "local_vertex/tuning": {
        *("core", "runtime", "sweeps", "project/settings", "local_vertex/api", "local_vertex/endpoint"),
        *("local_vertex/location", "local_vertex/store"),
    },
    "local_vertex": {"core"},
    # Engine of data sets.
    "datasets": {"core", "runtime"},
    # Engine of submit, watch and receipt.
    "vertex/job_types": {"core"},
    "vertex/labels": {"core"},
    "vertex/failure_rules": {"vertex/job_types"},
    "vertex/tracebacks": {"vertex/job_types"},
    "vertex/diagnosis": {"core", "vertex/job_types", "vertex/failure_rules", "vertex/tracebacks"},
    "vertex/client": {"core", "datasets", "local_vertex", "vertex/job_types", "vertex/labels", "vertex/diagnosis"},
    "vertex/spec": {"core", "vertex/job_types", "vertex/labels"},
    "vertex/preflight": {"core", "vertex/job_types"},
    "vertex/pricing": {"core", "vertex/labels"},
    "vertex/submit": {
        "core",
        "vertex/job_types",
        "vertex/labels",
        "vertex/diagnosis",
        "vertex/client",
        "vertex/pricing",
        "vertex/spec",
    },
    "vertex/fallback": {
        *("core", "vertex/job_types", "vertex/labels", "vertex/diagnosis"),
        *("vertex/client", "vertex/spec", "vertex/submit"),
    },
    "vertex/watch": {
        *("core", "vertex/job_types", "vertex/labels", "vertex/diagnosis", "vertex/client", "vertex/pricing"),
        "vertex/submit",
    },
    "vertex/receipt": {
        *("core", "vertex/job_types", "vertex/labels", "vertex/client", "vertex/pricing", "vertex/submit"),
    },
    "vertex/resume": {"core", "vertex/job_types", "vertex/client", "vertex/receipt"},
    "vertex/tuning": {"core", "project/settings", "vertex/job_types", "vertex/client"},
    "vertex": {"core"},
    # Engine of sweeps.
    "sweeps": {"core", "datasets", "runtime", "project/settings", "vertex/job_types"},
    # Prefect around the engines.
    "prefect_private": set(),
    "run_history": set(),
    "secret_values": {"core", "runtime", "vertex", "prefect_private"},
    "blocks": {"core", "project", "images", "vertex", "prefect_private", "run_history", "secret_values"},
    "tasks/reporting": {"core", "project", "vertex"},
    "tasks/stopping": {"core", "vertex", "tasks/reporting", "prefect_private"},
    "tasks/tuning": {"core", "vertex", "tasks"},
    "tasks": {
        *("core", "datasets", "runtime", "project", "images", "vertex", "blocks"),
        *("prefect_private", "run_history", "secret_values"),
    },
    "flows": {
        "core",
        "datasets",
        "runtime",
        "project",
        "images",
        "vertex",
        "blocks",
        "tasks",
        "sweeps",
        "prefect_private",
        "run_history",
        "secret_values",
    },
    "deployments": {"core", "project", "blocks", "flows", "prefect_private"},
    "cli/prefect_server": {"core"},
    "cli/preloaded/preload_process": {"core", "cli", "flows"},
    "cli/preloaded": {"core"},
    "cli": {
        *("core", "datasets", "project", "images", "vertex", "local_vertex"),
        *("prefect_private", "blocks", "tasks", "flows", "deployments"),
    },
}

ENGINES = ("core", "runtime", "project", "datasets", "images", "vertex", "sweeps", "local_vertex")
"""These folders know no Prefect."""

ROOT_MODULES = ("prefect_private", "run_history", "secret_values")
"""They serve several of the folders that know Prefect."""

MOST_MODULES = 15
"""Modules that a folder may hold, its `__init__.py` not counted."""

# Packages whose `__init__.py` offers names to users.
PUBLIC_PACKAGES = {".", "blocks", "flows", "tasks"}

# Last names that several modules or packages may have, because they mean the same everywhere.
SHARED_NAMES = {
    "__main__": "what `python -m` runs of its package",
    "errors": "the errors of that folder's part",
    "verify": "step 1: its engine and its task",
    "freeze": "step 2: its engine and its task",
    "build": "step 3: its engine and its task",
    "push": "step 4: its engine and its task",
    "submit": "step 5: its engine and its task",
    "watch": "step 5: its engine and its task",
    "receipt": "step 5: its engine and its task",
    "preflight": "whether a project is ready: its checks and its task",
    "plan": "what will be done: of an image, and the command that says it of a run",
    "download": "fetches files that are checked by their SHA-256: wheels, and a model",
    "orphans": "jobs whose flow run is over: the search and its command",
    "data": "data sets: the step and its command",
    "sweep": "many trainings of one project: the flow and its command",
    "tuning": "hyperparameter tuning jobs: the client's side, the step, inside of a trial, and local_vertex",
    "storage": "Cloud Storage: its client, and its server on this machine",
    "registry": "a container registry: its client and its block",
    "images": "container images: the engine, and those that a job's replicas run",
    "client": "what talks to Vertex AI, and to local_vertex",
    "lifecycle": "starts, finds and stops a server that stays on this machine",
    "process": "programs that run as processes of this machine",
}

KNOWN = modules()


@cache
def imports() -> list[Import]:
    """All of them; read on first use, because that takes seconds, which each of pytest's processes would pay."""
    return imports_between(KNOWN)


def is_below(name: str, part: str) -> bool:
    """Whether a module is this part or lies in it."""
    return name == part or name.startswith(f"{part}/")


def part_of(name: str) -> str:
    """The entry of MAY_IMPORT that a module belongs to."""
    return max((part for part in MAY_IMPORT if is_below(name, part)), key=len, default="")


def forbidden(edge: Import) -> bool:
    """Whether an import is not in the table."""
    part = part_of(edge.importer)
    return not any(is_below(edge.imported, name) for name in {part, *MAY_IMPORT.get(part, ())})


@pytest.mark.parametrize("folder", ENGINES)
def test_engines_import_no_prefect(folder: str) -> None:
    """An engine can be used and tested without Prefect."""
    found = [
        f"{module.path}:{line} imports {name}"
        for module in KNOWN.values()
        if is_below(module.name, folder)
        for name, line in module.imported_names()
        if name.split(".")[0].startswith("prefect") and name.split(".")[0] != PACKAGE
    ]

    assert found == []


def test_every_module_belongs_to_a_layer() -> None:
    """A new folder needs an entry in the table."""
    assert [name for name in KNOWN if not part_of(name)] == []


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_imports_follow_the_layers(part: str) -> None:
    """A part imports only what the table allows, inside functions too."""
    assert [str(edge) for edge in imports() if part_of(edge.importer) == part and forbidden(edge)] == []


def test_the_table_has_no_cycle() -> None:
    """Layers have an order: no part is allowed to import a part that may import it."""
    assert cycles({part: allowed & MAY_IMPORT.keys() for part, allowed in MAY_IMPORT.items()}) == []


def test_no_two_modules_import_each_other() -> None:
    """Neither directly nor through others, and not inside functions either."""
    graph: dict[str, set[str]] = defaultdict(set)
    for edge in imports():
        graph[edge.importer].add(edge.imported)

    assert cycles(graph) == []


def test_no_folder_is_crowded() -> None:
    """A reader sees at a glance what a folder holds."""
    counts = Counter(
        module.name.rpartition("/")[0] for module in KNOWN.values() if not module.is_package and "/" in module.name
    )

    counts.update(
        str(path.parent.relative_to(ROOT))
        for path in (ROOT / "tests").rglob("*.py")
        if path.name != "__init__.py" and not path.is_relative_to(ROOT / "tests" / "corpus" / "projects")
    )

    assert {folder: count for folder, count in counts.items() if count > MOST_MODULES} == {}


def test_one_name_means_one_thing() -> None:
    """Two modules have the same name only where it means the same, and the list of those holds no other name."""
    places: dict[str, list[str]] = defaultdict(list)
    for name in KNOWN:
        folder, _, last = name.rpartition("/")
        if folder.rpartition("/")[2] != last:  # `store/store` is the main module of its folder
            places[last].append(name)
    repeated = {last: names for last, names in places.items() if len(names) > 1}

    assert {last: names for last, names in repeated.items() if last not in SHARED_NAMES} == {}
    assert sorted(SHARED_NAMES.keys() - repeated.keys()) == []


def only_imports(module: Module) -> bool:
    """Whether a module holds imports and perhaps `__all__`, and nothing of its own."""
    statements = [node for node in module.tree.body if not _is_docstring(node) and not _is_all(node)]
    return bool(statements) and all(isinstance(node, ast.Import | ast.ImportFrom) for node in statements)


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_all(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"


def test_no_module_only_re_exports() -> None:
    """Everything is imported from where it is defined; only public packages offer names of their modules."""
    found = [module.name for module in KNOWN.values() if only_imports(module) and module.name not in PUBLIC_PACKAGES]

    assert found == []


def test_every_module_says_what_it_is() -> None:
    """Each module and package begins with a docstring."""
    assert [name for name, module in KNOWN.items() if not ast.get_docstring(module.tree)] == []


def test_layers_cover_the_folders_at_the_root() -> None:
    """The table names no folder that is gone."""
    tops = {part.split("/")[0] for part in MAY_IMPORT} - {".", "__main__", *ROOT_MODULES}

    assert tops == set(top_level_folders())
