"""Calls on buckets.

https://cloud.google.com/storage/docs/json_api/v1/buckets
"""

from __future__ import annotations

from ..http.http_messages import Answer, Request, StorageApiError, json_answer
from ..objects.bucket_store import BucketStore
from ..objects.object_list import ListQuery, list_objects
from ..objects.object_store import ObjectStore
from .resources import bucket_resource, part_of_document, preconditions

_OWNER_ROLE = "roles/storage.legacyBucketOwner"


class BucketCalls:
    """Calls on buckets.

    Args:
        objects: All objects.
        buckets: All buckets.
    """

    def __init__(self, objects: ObjectStore, buckets: BucketStore) -> None:
        self._objects = objects
        self._buckets = buckets

    def list(self, request: Request) -> Answer:
        """All buckets."""
        prefix = request.query.get("prefix", "")
        found = [self._buckets.get(name) for name in self._buckets.names() if name.startswith(prefix)]
        document = {"kind": "storage#buckets", "items": [bucket_resource(values, request.base) for values in found]}
        return json_answer(part_of_document(document, request.query.get("fields", "")))

    def create(self, request: Request) -> Answer:
        """A new bucket."""
        return json_answer(bucket_resource(self._buckets.create(request.read_json()), request.base))

    def get(self, request: Request, bucket: str) -> Answer:
        """A bucket's metadata."""
        document = bucket_resource(self._buckets.get(bucket), request.base)
        return json_answer(part_of_document(document, request.query.get("fields", "")))

    def update(self, request: Request, bucket: str) -> Answer:
        """Changes a bucket's metadata: some fields (PATCH), or all (PUT)."""
        values = self._buckets.update(
            bucket, request.read_json(), preconditions(request), replace=request.method == "PUT"
        )
        return json_answer(bucket_resource(values, request.base))

    def delete(self, request: Request, bucket: str) -> Answer:  # noqa: ARG002 - as the others
        """Deletes an empty bucket."""
        self._buckets.require(bucket)
        if list_objects(self._objects, ListQuery(bucket, limit=1)).objects:
            raise StorageApiError(409, "The bucket you tried to delete is not empty.")
        self._buckets.delete(bucket)
        return Answer(204)

    def layout(self, request: Request, bucket: str) -> Answer:  # noqa: ARG002 - as the others
        """Where and how a bucket keeps its objects."""
        values = self._buckets.get(bucket)
        document = {
            "kind": "storage#storageLayout",
            "bucket": bucket,
            "location": values["location"],
            "locationType": values["locationType"],
            "hierarchicalNamespace": {"enabled": False},
        }
        return json_answer(document)

    def policy(self, request: Request, bucket: str) -> Answer:
        """The bucket's policy: its owner may do everything, until somebody sets another."""
        head = {"kind": "storage#policy", "resourceId": f"projects/_/buckets/{bucket}", "version": 1, "etag": "CAE="}
        if request.method == "PUT":
            self._buckets.set_policy(bucket, request.read_json())
        bindings = [{"role": _OWNER_ROLE, "members": ["projectOwner:local"]}]
        return json_answer({**head, "bindings": bindings, **self._buckets.policy(bucket)})

    def permissions(self, request: Request, bucket: str, asked: list[str]) -> Answer:  # noqa: ARG002 - as the others
        """Those of the asked permissions that the caller has: all but those that a fault denies."""
        self._buckets.require(bucket)
        document = {"kind": "storage#testIamPermissionsResponse", "permissions": self._buckets.held(asked)}
        return json_answer(document)
