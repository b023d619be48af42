"""Sends random jobs and random JSON to the local service, over REST and gRPC, and prints what came back.

    python benchmarks/local_vertex/random_requests.py [--seconds 120] [--seed 1]

Every answer must be JSON, none may be INTERNAL or late, and the store must be intact at the end.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import shutil
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import grpc
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.local_vertex import lifecycle
from prefect_vertex_training.local_vertex.client import open_channel
from prefect_vertex_training.local_vertex.endpoint import LocalService, store_path

PARENT = "/v1/projects/local/locations/us-central1"
LATE_SECONDS = 10.0
VALUES = (
    *(None, True, False, 0, 1, -1, 2**31, 2**63, -(2**63), 1e308, 0.5, float("inf"), "", "x", "-1", "1e400", "\u0000"),
    *("315576000001s", "-1s", "0.0000000001s", "1s", "gs://local/x", "gs://", "n1-standard-4", "NVIDIA_L4", "ü" * 200),
    *("2026-01-01T00:00:00Z", "10000-01-01T00:00:00Z", [], {}, [[]], [{}], {"": 1}, {"a": {"b": []}}, "a" * 5000),
)
NAMES = (
    *(
        "displayName",
        "labels",
        "jobSpec",
        "workerPoolSpecs",
        "containerSpec",
        "imageUri",
        "command",
        "args",
        "env",
        "name",
    ),
    *(
        "machineSpec",
        "machineType",
        "acceleratorType",
        "acceleratorCount",
        "replicaCount",
        "diskSpec",
        "bootDiskSizeGb",
    ),
    *(
        "scheduling",
        "timeout",
        "strategy",
        "maxWaitDuration",
        "baseOutputDirectory",
        "outputUriPrefix",
        "serviceAccount",
    ),
    *("pythonPackageSpec", "packageUris", "pythonModule", "executorImageUri", "persistentResourceId", "encryptionSpec"),
    *(
        "trainingTaskInputs",
        "trainingTaskDefinition",
        "resourcePools",
        "filter",
        "resourceNames",
        "entries",
        "job_spec",
    ),
)


def good_job() -> dict[str, Any]:
    """A valid job, which ends at once because there is no such image."""
    pool = {
        "replicaCount": "1",
        "machineSpec": {"machineType": "n1-standard-4"},
        "containerSpec": {"imageUri": "oci:/no:x"},
    }
    return {"displayName": "random", "jobSpec": {"workerPoolSpecs": [pool], "scheduling": {"timeout": "60s"}}}


def changed(value: Any, chance: random.Random, depth: int = 0) -> Any:  # noqa: ANN401 - JSON
    """A value with random parts replaced, added and removed."""
    if depth > 40 or chance.random() < 0.06:
        return chance.choice(VALUES)
    if isinstance(value, dict):
        items = {key: changed(item, chance, depth + 1) for key, item in value.items() if chance.random() > 0.04}
        if chance.random() < 0.12:
            items[chance.choice(NAMES)] = chance.choice(VALUES)
        return items
    if isinstance(value, list):
        return [changed(item, chance, depth + 1) for item in value for _ in range(chance.choice((1, 1, 1, 0, 2, 5)))]
    return value


def paths(chance: random.Random) -> tuple[str, str, Any]:
    """A random verb, path and body."""
    job = changed(good_job(), chance)
    task = "gs://google-cloud-aiplatform/schema/trainingjob/definition/custom_task_1.0.0.yaml"
    inputs = {**good_job()["jobSpec"]}
    pipeline = {"displayName": "p", "trainingTaskDefinition": task, "trainingTaskInputs": inputs}
    pools = {"resourcePools": [{"machineSpec": {"machineType": "n1-standard-4"}, "replicaCount": 1}]}
    entry = {"logName": "projects/local/logs/x", "entries": [{"textPayload": "x", "labels": {"a": "b"}}]}
    text = "".join(
        chance.choice(["a=b ", "(", ")", "AND ", "NOT ", '"x" ', "=~", "-", "labels.", ":", "*", "\u0000", "ü"])
        for _ in range(9)
    )
    number = chance.choice(["1", "x", "-1", "9" * 25, "%2F", "%00", "a:b"])
    return chance.choice(
        (
            ("POST", f"{PARENT}/customJobs", job),
            ("POST", f"{PARENT}/customJobs", chance.choice(VALUES)),
            ("POST", f"{PARENT}/trainingPipelines", changed(pipeline, chance)),
            (
                "POST",
                f"{PARENT}/persistentResources?persistentResourceId=p{chance.randrange(9)}",
                changed(pools, chance),
            ),
            ("POST", "/v2/entries:write", changed(entry, chance)),
            ("POST", "/v2/entries:list", changed({"resourceNames": ["projects/local"], "filter": text}, chance)),
            ("GET", f"{PARENT}/customJobs?{chance.choice(NAMES)}={number}&fields={number}", None),
            ("GET", f"{PARENT}/customJobs?filter={number}&pageSize={number}", None),
            (
                chance.choice(["GET", "DELETE", "PATCH", "POST"]),
                f"{PARENT}/{chance.choice(['customJobs', 'models', 'x'])}/{number}",
                job,
            ),
            ("POST", f"{PARENT}/operations/{number}:{chance.choice(['wait', 'cancel', 'x'])}", job),
        )
    )


def over_rest(service: LocalService, chance: random.Random) -> str:
    """One call; how it ended, beginning with "BAD" if that may not be."""
    verb, path, body = paths(chance)
    data = json.dumps(body) if chance.random() > 0.03 else "".join(chance.choices('{}[]",:a1\\', k=30))
    connection = http.client.HTTPConnection(str(service.rest_url).removeprefix("http://"), timeout=LATE_SECONDS)
    try:
        connection.request(
            verb, path.replace("\u0000", "%00"), data.encode(), {"Authorization": f"Bearer {service.token}"}
        )
        answer = connection.getresponse()
        found = json.loads(answer.read() or b"null")
    except (TimeoutError, ValueError, http.client.HTTPException, OSError) as error:
        return f"BAD {type(error).__name__}: {verb} {path} {data[:300]}"
    finally:
        connection.close()
    if answer.status == 500 or "json" not in answer.headers.get("Content-Type", ""):
        return f"BAD {answer.status}: {verb} {path} {data[:2000]} {found}"
    return f"REST {answer.status}"


def over_grpc(channel: grpc.Channel, chance: random.Random) -> str:
    """One call with random bytes, or a random job as a message."""
    from google.cloud.aiplatform_v1.types import CreateCustomJobRequest, CustomJob

    data = chance.randbytes(chance.randrange(40))
    if chance.random() < 0.7:
        try:
            job = CustomJob.from_json(json.dumps(changed(good_job(), chance)), ignore_unknown_fields=True)
            request = CreateCustomJobRequest(parent="projects/local/locations/us-central1", custom_job=job)
            data = CreateCustomJobRequest.serialize(request)
        except Exception:  # noqa: BLE001 - the client refuses it itself
            return "gRPC not sent"
    try:
        channel.unary_unary("/google.cloud.aiplatform.v1.JobService/CreateCustomJob")(data, timeout=LATE_SECONDS)
    except grpc.RpcError as error:
        name = error.code().name  # pyright: ignore[reportAttributeAccessIssue]
        return f"BAD {name} {data!r}" if name in {"INTERNAL", "UNKNOWN", "DEADLINE_EXCEEDED"} else f"gRPC {name}"
    return "gRPC OK"


def main() -> int:
    """Prints the counts, and what may not be; exit status 1 if there was any."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chance, counts = random.Random(options.seed), Counter[str]()
    folder = Path(tempfile.mkdtemp(prefix="local-vertex-"))
    home = Home(folder / "home")
    service = lifecycle.ensure_running(home, tcp=True)
    import google.cloud.aiplatform_v1  # noqa: F401 - its seconds are none of the calls'

    end = time.monotonic() + options.seconds
    with open_channel(service) as channel:
        while time.monotonic() < end:
            counts[over_rest(service, chance) if chance.random() < 0.7 else over_grpc(channel, chance)] += 1
    lifecycle.stop(home)
    with sqlite3.connect(store_path(home)) as store:
        intact = store.execute("PRAGMA integrity_check").fetchone()[0]
    shutil.rmtree(folder, ignore_errors=True)
    bad = [text for text in counts if text.startswith("BAD")]
    for text, count in sorted(counts.items()):
        print(f"{count:7} {text}")
    print(f"{sum(counts.values())} calls, {len(bad)} bad answers; the store is {intact}")
    return int(bool(bad) or intact != "ok")


if __name__ == "__main__":
    sys.exit(main())
