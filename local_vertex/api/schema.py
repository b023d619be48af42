"""The messages of the API, as classes that are made without importing Google's clients.

Importing `google.cloud.aiplatform_v1` takes more than a second. So `google_packages` reads its descriptors once, in a
process of their own, and the result is cached for the versions of the packages.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ...core.atomic_files import write_atomic
from . import google_packages

if TYPE_CHECKING:
    from google.protobuf.message import Message

Generated: TypeAlias = Any
"""A protobuf message or descriptor: these classes are made at run time and have no static type."""

_CHECKSUM = 32  # bytes of the SHA-256 before the descriptors


class Schema:
    """Message classes by full name.

    They have their own descriptor pool, so that a process can serve them and use Google's clients at the same time.

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
        """The message class of a full name, for example "google.rpc.Status"."""
        if name not in self._classes:
            self._keep(self.pool.FindMessageTypeByName(name))
        return self._classes[name]

    def _keep(self, descriptor: Generated) -> None:
        """Makes the classes of a message and of all messages in it, and keeps them.

        Protobuf makes those of inner messages when they are needed, and lets them be collected as garbage when no
        message of them is left. A thread that needs such a class while another thread collects it gets a class without
        a descriptor, and the process ends with a segmentation fault (seen with protobuf 7.36).
        """
        from google.protobuf import message_factory

        pending = [descriptor]
        while pending:
            current = pending.pop()
            if current.full_name not in self._classes:
                pending += [field.message_type for field in current.fields if field.message_type is not None]
                self._classes[current.full_name] = message_factory.GetMessageClass(current)

    def to_json(self, message: Message, *, proto_names: bool = False, enum_numbers: bool = False) -> dict[str, Any]:
        """The JSON form of a message, as in the REST API: int64 as strings, durations as "3600s", enums as names.

        Args:
            message: A message of this schema.
            proto_names: Use field names like `job_spec` instead of `jobSpec`.
            enum_numbers: Use enum values like 4 instead of "JOB_STATE_SUCCEEDED".
        """
        from google.protobuf.json_format import MessageToDict

        return MessageToDict(
            message,
            preserving_proto_field_name=proto_names,
            use_integers_for_enums=enum_numbers,
            descriptor_pool=self.pool,
        )

    def from_json(self, value: dict[str, Any], name: str) -> Generated:
        """Parses the JSON form of a message.

        Args:
            value: The JSON object.
            name: Full name of the message.

        Raises:
            google.protobuf.json_format.ParseError: The object is not such a message.
        """
        from google.protobuf.json_format import ParseDict

        return ParseDict(value, self[name](), descriptor_pool=self.pool)


def load(cache: Path) -> Schema:
    """The schema of the installed packages, from the cache or made now (about half a second).

    Args:
        cache: The folder for caches.

    Raises:
        LocalServiceError: Google's packages are missing or have changed.
        StorageError: The disk is full.
    """
    path = cache / "vertex-schema" / f"{_chosen()}_{'_'.join(google_packages.versions())}.binpb"
    try:
        checksum, data = path.read_bytes()[:_CHECKSUM], path.read_bytes()[_CHECKSUM:]
        if checksum != hashlib.sha256(data).digest():
            raise ValueError("damaged")
        return Schema(data)
    except Exception:  # noqa: BLE001 - missing, damaged, or rejected by protobuf: make it again
        data = google_packages.derive()
        write_atomic(path, hashlib.sha256(data).digest() + data)
        return Schema(data)


def _chosen() -> str:
    """A hash of the module that chooses the messages: a version that needs more finds no cache of an earlier one."""
    return hashlib.sha256(Path(google_packages.__file__).read_bytes()).hexdigest()[:8]
