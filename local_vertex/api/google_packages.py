"""Reads the API's message descriptors from Google's installed packages.

This is the only module that depends on how these packages are organized: the names of their modules, and that the
types can be imported without the `__init__` modules above them, which import every client.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, TypeAlias

from ...core.errors import LocalServiceError

Descriptor: TypeAlias = Any
"""A descriptor of protobuf: its two implementations have no common static type."""

_PACKAGES = ("aiplatform_v1", "logging_v2", "resourcemanager_v3")

# Modules and the messages of the API in them; the messages that these refer to are added.
_ROOTS = {
    "google.cloud.aiplatform_v1.types.job_service": (
        "CreateCustomJobRequest",
        "GetCustomJobRequest",
        "ListCustomJobsRequest",
        "ListCustomJobsResponse",
        "DeleteCustomJobRequest",
        "CancelCustomJobRequest",
        "CreateHyperparameterTuningJobRequest",
        "GetHyperparameterTuningJobRequest",
        "ListHyperparameterTuningJobsRequest",
        "ListHyperparameterTuningJobsResponse",
        "DeleteHyperparameterTuningJobRequest",
        "CancelHyperparameterTuningJobRequest",
    ),
    "google.cloud.aiplatform_v1.types.pipeline_service": (
        "CreateTrainingPipelineRequest",
        "GetTrainingPipelineRequest",
        "ListTrainingPipelinesRequest",
        "ListTrainingPipelinesResponse",
        "DeleteTrainingPipelineRequest",
        "CancelTrainingPipelineRequest",
    ),
    "google.cloud.aiplatform_v1.types.persistent_resource_service": (
        "CreatePersistentResourceRequest",
        "CreatePersistentResourceOperationMetadata",
        "GetPersistentResourceRequest",
        "ListPersistentResourcesRequest",
        "ListPersistentResourcesResponse",
        "DeletePersistentResourceRequest",
    ),
    "google.cloud.aiplatform_v1.types.model_service": (
        "GetModelRequest",
        "ListModelsRequest",
        "ListModelsResponse",
        "ListModelVersionsRequest",
        "ListModelVersionsResponse",
        "DeleteModelRequest",
    ),
    "google.cloud.aiplatform_v1.types.operation": ("DeleteOperationMetadata",),
    "google.cloud.logging_v2.types.logging": (
        "ListLogEntriesRequest",
        "ListLogEntriesResponse",
        "TailLogEntriesRequest",
        "TailLogEntriesResponse",
        "WriteLogEntriesRequest",
        "WriteLogEntriesResponse",
        "ListLogsRequest",
        "ListLogsResponse",
    ),
    "google.cloud.resourcemanager_v3.types.projects": ("GetProjectRequest", "Project"),
    "google.longrunning.operations_pb2": (
        "GetOperationRequest",
        "ListOperationsRequest",
        "ListOperationsResponse",
        "WaitOperationRequest",
        "CancelOperationRequest",
        "DeleteOperationRequest",
        "Operation",
    ),
    "google.cloud.location.locations_pb2": (
        "ListLocationsRequest",
        "ListLocationsResponse",
        "GetLocationRequest",
        "Location",
    ),
    "google.rpc.error_details_pb2": ("BadRequest", "ErrorInfo"),
    "google.rpc.status_pb2": ("Status",),
    "google.protobuf.empty_pb2": ("Empty",),
}
# Packages whose __init__ modules are skipped.
_SLOW_PACKAGES = (
    "google.cloud.aiplatform_v1",
    "google.cloud.aiplatform_v1.types",
    "google.cloud.logging_v2",
    "google.cloud.logging_v2.types",
    "google.cloud.resourcemanager_v3",
    "google.cloud.resourcemanager_v3.types",
)


def versions() -> list[str]:
    """The versions of the packages. `importlib.metadata` would take as long as the rest of the service's start."""
    import google.cloud
    import google.protobuf

    texts = [
        path.read_text()
        for package in _PACKAGES
        for folder in google.cloud.__path__
        if (path := Path(folder, package, "gapic_version.py")).is_file()
    ]
    return [*(text.partition('__version__ = "')[2].partition('"')[0] for text in texts), google.protobuf.__version__]


def derive() -> bytes:
    """A serialized FileDescriptorSet of the API's messages, dependencies first; made in a new process.

    Raises:
        LocalServiceError: Google's packages are missing or have changed.
    """
    done = subprocess.run([sys.executable, "-m", __name__], capture_output=True, check=False)
    if done.returncode:
        raise LocalServiceError(
            "the API's messages can't be read from Google's packages",
            where=", ".join(map(" ".join, zip(_PACKAGES, versions(), strict=False))),
            next_step="Install google-cloud-aiplatform and google-cloud-logging again",
            detail=done.stderr.decode(errors="replace"),
        )
    return done.stdout


def _read_descriptors() -> bytes:
    """A FileDescriptorSet of the messages and those that they refer to; changes `sys.modules`."""
    import importlib.util
    from types import ModuleType

    from google.protobuf import descriptor_pb2

    for name in _SLOW_PACKAGES:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        sys.modules[name] = empty = ModuleType(name)
        empty.__path__ = list(spec.submodule_search_locations or ())
        empty.__spec__ = spec
    needed: dict[str, Any] = {}
    for module, names in _ROOTS.items():
        types = importlib.import_module(module)
        for name in names:
            message = getattr(types, name)
            _follow(message.pb().DESCRIPTOR if hasattr(message, "pb") else message.DESCRIPTOR, needed)
    result = descriptor_pb2.FileDescriptorSet()
    for file in _ordered({top.file.name: top.file for top in needed.values()}):
        result.file.append(_reduced(file, needed))
    return result.SerializeToString(deterministic=True)


def _follow(descriptor: Descriptor, needed: dict[str, Descriptor]) -> None:
    """Adds the top-level type that contains `descriptor`, and every type that it refers to."""
    while descriptor.containing_type is not None:
        descriptor = descriptor.containing_type
    if descriptor.full_name in needed:
        return
    needed[descriptor.full_name] = descriptor
    pending = [descriptor]
    while pending:
        current = pending.pop()
        pending += getattr(current, "nested_types", ())
        for field in getattr(current, "fields", ()):
            for target in (field.message_type, field.enum_type):
                if target is not None:
                    _follow(target, needed)


def _ordered(files: dict[str, Any]) -> list[Any]:
    """Sorts files so that dependencies come first."""
    ordered: dict[str, Any] = {}

    def add(file: Descriptor) -> None:
        for dependency in file.dependencies:
            if dependency.name in files and dependency.name not in ordered:
                add(dependency)
        ordered[file.name] = file

    for name in sorted(files):
        add(files[name])
    return list(ordered.values())


def _reduced(file: Descriptor, needed: dict[str, Descriptor]) -> Descriptor:
    """A file's FileDescriptorProto with only the needed types."""
    from google.protobuf import descriptor_pb2

    proto = descriptor_pb2.FileDescriptorProto()
    file.CopyToProto(proto)
    kept = {top.file.name for top in needed.values()}
    dependencies = [name for name in proto.dependency if name in kept]
    kinds: tuple[Any, ...] = (proto.message_type, proto.enum_type)
    for kind in kinds:
        wanted = [item for item in kind if f"{proto.package}.{item.name}" in needed]
        del kind[:]
        kind.extend(wanted)
    for part in ("dependency", "public_dependency", "weak_dependency", "service", "extension", "options"):
        proto.ClearField(part)
    proto.dependency.extend(dependencies)
    return proto


if __name__ == "__main__":
    sys.stdout.buffer.write(_read_descriptors())
