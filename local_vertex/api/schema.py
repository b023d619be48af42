"""The messages of the API, taken from Google's installed packages without importing them into the service.

Importing `google.cloud.aiplatform_v1` takes more than a second. So its descriptors are read once, in a process of
their own, cut down to the messages that are served, and kept in the cache under the packages' versions.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ...core.errors import LocalServiceError
from ...core.files import write_atomic

if TYPE_CHECKING:
    from google.protobuf.message import Message

Generated: TypeAlias = Any
"""A message or descriptor of Google's: these classes are made at run time and have no static type."""

_PACKAGES = ("aiplatform_v1", "logging_v2")
_FORMAT = 1

# Modules to read, and the messages that are served; whatever these refer to comes along.
_ROOTS = {
    "google.cloud.aiplatform_v1.types.job_service": (
        "CreateCustomJobRequest",
        "GetCustomJobRequest",
        "ListCustomJobsRequest",
        "ListCustomJobsResponse",
        "DeleteCustomJobRequest",
        "CancelCustomJobRequest",
    ),
    "google.cloud.aiplatform_v1.types.operation": ("DeleteOperationMetadata",),
    "google.cloud.logging_v2.types.logging": (
        "ListLogEntriesRequest",
        "ListLogEntriesResponse",
        "TailLogEntriesRequest",
        "TailLogEntriesResponse",
    ),
    "google.longrunning.operations_pb2": ("GetOperationRequest", "Operation"),
    "google.rpc.error_details_pb2": ("BadRequest",),
    "google.rpc.status_pb2": ("Status",),
    "google.protobuf.empty_pb2": ("Empty",),
}
# Their __init__ modules import every service; the types below them need none of that.
_SLOW_PACKAGES = (
    "google.cloud.aiplatform_v1",
    "google.cloud.aiplatform_v1.types",
    "google.cloud.logging_v2",
    "google.cloud.logging_v2.types",
)


class Schema:
    """Message classes by full name, in a descriptor pool of their own.

    A pool of their own lets a process serve these messages and use Google's clients at the same time.

    Args:
        data: A serialized FileDescriptorSet, dependencies first.
    """

    def __init__(self, data: bytes) -> None:
        from google.protobuf import descriptor_pb2, descriptor_pool

        self.pool = descriptor_pool.DescriptorPool()
        for file in descriptor_pb2.FileDescriptorSet.FromString(data).file:
            self.pool.AddSerializedFile(file.SerializeToString())
        self._classes: dict[str, type[Message]] = {}

    def __getitem__(self, name: str) -> type[Any]:
        """The message class of that full name, as "google.rpc.Status"."""
        from google.protobuf import message_factory

        if name not in self._classes:
            self._classes[name] = message_factory.GetMessageClass(self.pool.FindMessageTypeByName(name))
        return self._classes[name]

    def to_json(self, message: Message, *, proto_names: bool = False, enum_numbers: bool = False) -> dict[str, Any]:
        """A message as the REST API writes it: int64 as strings, durations as "3600s", enums as names.

        Args:
            message: Of this schema.
            proto_names: `job_spec` instead of `jobSpec`.
            enum_numbers: 4 instead of "JOB_STATE_SUCCEEDED".
        """
        from google.protobuf.json_format import MessageToDict

        return MessageToDict(
            message,
            preserving_proto_field_name=proto_names,
            use_integers_for_enums=enum_numbers,
            descriptor_pool=self.pool,
        )

    def from_json(self, value: dict[str, Generated], name: str) -> Generated:
        """The message of that full name from its JSON form.

        Raises:
            google.protobuf.json_format.ParseError: It is no such message.
        """
        from google.protobuf.json_format import ParseDict

        return ParseDict(value, self[name](), descriptor_pool=self.pool)


def load(cache: Path) -> Schema:
    """The schema of the installed packages, from the cache or made now (about half a second).

    Args:
        cache: A folder for what can be made again.

    Raises:
        LocalServiceError: Google's packages are missing or not as expected.
        StorageError: The disk is full.
    """
    path = cache / "vertex-schema" / f"{_FORMAT}_{'_'.join(_versions())}.binpb"
    try:
        return Schema(path.read_bytes())
    except Exception:  # noqa: BLE001 - missing, cut short, or refused by protobuf: make it again
        write_atomic(path, _derive())
        return Schema(path.read_bytes())


def _versions() -> list[str]:
    """The versions of what the schema is made from. `importlib.metadata` would take as long as all the rest."""
    import google.cloud
    import google.protobuf

    texts = [
        path.read_text()
        for package in _PACKAGES
        for folder in google.cloud.__path__
        if (path := Path(folder, package, "gapic_version.py")).is_file()
    ]
    return [*(text.partition('__version__ = "')[2].partition('"')[0] for text in texts), google.protobuf.__version__]


def _derive() -> bytes:
    done = subprocess.run([sys.executable, "-m", __name__], capture_output=True, check=False)
    if done.returncode:
        raise LocalServiceError(
            "the API's messages can't be read from Google's packages",
            where=", ".join(map(" ".join, zip(_PACKAGES, _versions(), strict=False))),
            next_step="Install google-cloud-aiplatform and google-cloud-logging again",
            detail=done.stderr.decode(errors="replace"),
        )
    return done.stdout


def _read_descriptors() -> bytes:
    """A FileDescriptorSet of the roots and all they refer to; to be called in a process of its own."""
    import importlib.util
    from types import ModuleType

    from google.protobuf import descriptor_pb2

    for name in _SLOW_PACKAGES:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        sys.modules[name] = hollow = ModuleType(name)
        hollow.__path__ = list(spec.submodule_search_locations or ())
        hollow.__spec__ = spec
    needed: dict[str, Any] = {}
    for module, names in _ROOTS.items():
        types = importlib.import_module(module)
        for name in names:
            message = getattr(types, name)
            _follow(message.pb().DESCRIPTOR if hasattr(message, "pb") else message.DESCRIPTOR, needed)
    result = descriptor_pb2.FileDescriptorSet()
    for file in _ordered({top.file.name: top.file for top in needed.values()}):
        result.file.append(_cut(file, needed))
    return result.SerializeToString(deterministic=True)


def _follow(descriptor: Generated, needed: dict[str, Generated]) -> None:
    """Adds the top-level type that holds `descriptor`, and every type it refers to."""
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
    """Dependencies before those who need them."""
    ordered: dict[str, Any] = {}

    def add(file: Generated) -> None:
        for dependency in file.dependencies:
            if dependency.name in files and dependency.name not in ordered:
                add(dependency)
        ordered[file.name] = file

    for name in sorted(files):
        add(files[name])
    return list(ordered.values())


def _cut(file: Generated, needed: dict[str, Generated]) -> Generated:
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
