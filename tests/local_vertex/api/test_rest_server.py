"""The API over REST, called with a plain HTTP client."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

Job = dict[str, Any]
BASE = "/v1/projects/local/locations/us-central1/customJobs"
POOL = {
    "replicaCount": "1",
    "machineSpec": {"machineType": "n1-standard-4"},
    "containerSpec": {"imageUri": "oci:/images:demo"},
}
JOB = {"displayName": "demo", "jobSpec": {"workerPoolSpecs": [POOL]}}


@pytest.fixture
def rest(start_local: Callable[..., Any]) -> Any:
    """A service that listens on loopback."""
    return start_local(tcp=True)


def call(
    rest: Any,
    verb: str,
    path: str,
    body: object = None,
    *,
    token: str | None = "",
    headers: dict[str, str] | None = None,
) -> tuple[int, Any]:
    """Sends a request; returns the status and the JSON of the response."""
    connection = http.client.HTTPConnection(rest.service.rest_url.removeprefix("http://"), timeout=60)
    sent = dict(headers or {})
    if token is not None:
        sent["Authorization"] = f"Bearer {token or rest.service.token}"
    data = body if isinstance(body, (str, bytes)) or body is None else json.dumps(body)
    connection.request(verb, path, data, sent)
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    return response.status, answer


@pytest.fixture
def rest_job() -> Job:
    """A job with the field names of JSON."""
    pool = {
        "replicaCount": "1",
        "machineSpec": {"machineType": "n1-standard-4"},
        "containerSpec": {"imageUri": "oci:/x:y", "args": ["a"]},
    }
    return {
        "displayName": "demo",
        "jobSpec": {"workerPoolSpecs": [pool], "scheduling": {"timeout": "3600s", "strategy": 4}},
    }


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Host": "evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_pages_of_others_are_not_served(rest: Any, headers: dict[str, str]) -> None:
    """Even with the token: a page in a browser could reach this port, under a name of its own too."""
    status, answer = call(rest, "GET", BASE, headers=headers)

    assert (status, answer["error"]["status"]) == (403, "PERMISSION_DENIED")
    assert call(rest, "GET", BASE, headers={"Origin": rest.service.rest_url})[0] == 200


def test_the_life_of_a_job(rest: Any, rest_job: Job) -> None:
    """Create, get, list, cancel, delete, operation; int64 as strings, durations with an s, enums by name."""
    status, made = call(rest, "POST", BASE, rest_job)
    name = made["name"]
    assert (status, made["state"], made["displayName"]) == (200, "JOB_STATE_PENDING", "demo")
    assert made["jobSpec"]["workerPoolSpecs"][0]["replicaCount"] == "1"
    assert made["jobSpec"]["scheduling"] == {"timeout": "3600s", "strategy": "SPOT"}
    assert made["createTime"].endswith("Z")
    assert call(rest, "GET", f"/v1/{name}") == (200, made)
    assert call(rest, "GET", f"/v1/{name}?$alt=json;enum-encoding=int")[1]["state"] == 2
    assert call(rest, "POST", f"/v1/{name}:cancel", {}) == (200, {})
    query = "?filter=state%3D%22JOB_STATE_CANCELLED%22&pageSize=5&readMask=name,state"
    assert call(rest, "GET", BASE + query) == (
        200,
        {"customJobs": [{"name": name, "state": "JOB_STATE_CANCELLED"}]},
    )
    status, operation = call(rest, "DELETE", f"/v1/{name}")
    assert (status, operation["done"]) == (200, True)
    assert call(rest, "GET", f"/v1/{operation['name']}") == (200, operation)
    assert call(rest, "GET", f"/v1/{name}")[0] == 404


def test_an_error_has_code_status_and_details(rest: Any, rest_job: Job) -> None:
    """Errors have the form of https://cloud.google.com/apis/design/errors."""
    status, answer = call(rest, "POST", BASE, {**rest_job, "displayName": ""})

    text = "The display name is required."
    assert status == 400
    assert answer["error"] == {
        "code": 400,
        "status": "INVALID_ARGUMENT",
        "message": f"List of found errors:\t1.Field: display_name; Message: {text}\t ",
        "details": [
            {
                "@type": "type.googleapis.com/google.rpc.BadRequest",
                "fieldViolations": [{"field": "display_name", "description": text}],
            }
        ],
    }


@pytest.mark.parametrize("token", [None, "wrong", "ümlaut"])
def test_nothing_without_the_token(rest: Any, rest_job: Job, token: str | None) -> None:
    """A call without the token returns 401 and creates no job."""
    headers = {} if token != "ümlaut" else {"Authorization": "Bearer \xfc"}
    status, answer = call(rest, "POST", BASE, rest_job, token=None if token == "ümlaut" else token, headers=headers)

    assert (status, answer["error"]["status"]) == (401, "UNAUTHENTICATED")
    assert rest.store.find() == []


@pytest.mark.parametrize(
    ("verb", "path", "body", "expected"),
    [
        ("GET", "/", None, 404),
        ("GET", "/v1/projects/local/locations/us-central1/endpoints", None, 501),
        ("POST", "/v1/projects/local/locations/us-central1/models:upload", "{}", 501),
        ("PATCH", "/v1/projects/local/locations/us-central1/models/1", "{}", 501),
        ("POST", "/v1/projects/local/locations/us-central1/endpoints/1:predict", "{}", 501),
        ("GET", "/v2/projects/local/sinks", None, 501),
        ("PATCH", f"{BASE}/1", "{}", 404),
        ("PUT", BASE, "{}", 404),
        ("OPTIONS", BASE, None, 404),
        ("DELETE", BASE, None, 404),
        ("POST", BASE, "{", 400),
        ("POST", BASE, "", 400),
        ("POST", BASE, "[]", 400),
        ("POST", BASE, '{"unknown": 1}', 400),
        ("POST", BASE, '{"displayName": 5}', 400),
        ("POST", BASE, b"\xff", 400),
        ("POST", BASE, "[" * 100_000, 400),
        ("POST", f"{BASE}/1:cancel", "[]", 400),
        ("GET", f"{BASE}?pageSize=many", None, 400),
        ("GET", f"{BASE}?unknown=1", None, 400),
        ("GET", f"{BASE}/1%2F2", None, 404),
    ],
)
def test_a_bad_request_is_answered(rest: Any, verb: str, path: str, body: object, expected: int) -> None:
    """They get an error in JSON, and the service still responds."""
    status, answer = call(rest, verb, path, body)

    assert (status, answer["error"]["code"]) == (expected, expected)
    assert "Traceback" not in answer["error"]["message"]
    assert call(rest, "GET", BASE) == (200, {})


def test_a_body_of_unknown_or_huge_size_is_refused(rest: Any) -> None:
    """It is rejected before the body is read."""
    for headers in ({"Content-Length": "99999999999"}, {"Content-Length": "-1"}, {"Content-Length": "1_0"}):
        connection = http.client.HTTPConnection(rest.service.rest_url.removeprefix("http://"), timeout=60)
        connection.putrequest("POST", BASE)
        connection.putheader("Authorization", f"Bearer {rest.service.token}")
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        assert connection.getresponse().status == 400
        connection.close()


def test_lines_can_be_listed(rest: Any) -> None:
    """entries:list works as google-cloud-logging without gRPC calls it."""
    from prefect_vertex_training.local_vertex.store.records import JobRecord, LogEntry

    rest.store.create(JobRecord(id="1"))
    rest.store.append_logs("1", [LogEntry(1.0, "INFO", "workerpool0-0", {"message": "m"})])
    status, answer = call(rest, "POST", "/v2/entries:list", {"resourceNames": ["projects/local"], "pageSize": 5})

    assert status == 200
    assert [entry["jsonPayload"] for entry in answer["entries"]] == [{"message": "m"}]


def test_the_logging_library_reads_lines(rest: Any) -> None:
    """google-cloud-logging's own client over HTTP, page by page; it asks for the last 24 hours."""
    import google.cloud.logging
    from google.oauth2.credentials import Credentials
    from prefect_vertex_training.local_vertex.store.records import JobRecord, LogEntry

    rest.store.create(JobRecord(id="1"))
    rest.store.append_logs("1", [LogEntry(time.time(), "INFO", "workerpool0-0", f"line {n}") for n in range(5)])
    client = google.cloud.logging.Client(
        project=rest.service.project,
        credentials=Credentials(rest.service.token),
        client_options={"api_endpoint": rest.service.rest_url},
        _use_grpc=False,
    )
    found = list(client.list_entries(filter_='resource.labels.job_id="1"', page_size=2))

    assert [entry.payload for entry in found] == [f"line {n}" for n in range(5)]
    assert found[0].resource.labels["task_name"] == "workerpool0-0"


# What common clients and the documented system parameters send


def raw(
    rest: Any, verb: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """A call with any headers: status, headers and body of the answer."""
    connection = http.client.HTTPConnection(rest.service.rest_url.removeprefix("http://"), timeout=60)
    sent = {"Authorization": f"Bearer {rest.service.token}"} | {k.replace("_", "-"): v for k, v in headers.items()}
    connection.request(verb, path, body, sent)
    answer = connection.getresponse()
    return answer.status, dict(answer.headers), answer.read()


def test_a_compressed_body_and_one_in_chunks(rest: Any) -> None:
    """Both are read as a plain one; one that is no gzip, or ends early, is refused."""
    import gzip

    sent = json.dumps(JOB).encode()
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (sent[:7], sent[7:])) + b"0\r\n\r\n"

    assert raw(rest, "POST", BASE, gzip.compress(sent), Content_Encoding="gzip")[0] == 200
    assert raw(rest, "POST", BASE, chunks, Transfer_Encoding="chunked")[0] == 200
    assert raw(rest, "POST", BASE, gzip.compress(sent)[:-9], Content_Encoding="gzip")[0] == 400
    assert raw(rest, "POST", BASE, sent, Content_Encoding="gzip")[0] == 400
    assert raw(rest, "POST", BASE, b"zz\r\n", Transfer_Encoding="chunked")[0] == 400
    assert raw(rest, "POST", BASE, gzip.compress(bytes(17 << 20)), Content_Encoding="gzip")[0] == 400
    assert call(rest, "GET", BASE)[0] == 200


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("fields=displayName", {"displayName"}),
        ("$fields=name,job_spec/workerPoolSpecs(machineSpec/machineType)", {"name", "jobSpec"}),
        ("fields=*", None),
        ("fields=jobSpec.workerPoolSpecs.replicaCount", {"jobSpec"}),
        ("uploadType=media&upload_protocol=raw&key=x&quotaUser=y&prettyPrint=true&$.xgafv=2&callback=f", None),
    ],
)
def test_system_parameters(rest: Any, query: str, expected: set[str] | None) -> None:
    """`fields` chooses parts of the answer; parameters that change nothing are no fields of the request."""
    made = call(rest, "POST", BASE, JOB)[1]
    status, found = call(rest, "GET", f"/v1/{made['name']}?{query}")

    assert status == 200
    assert set(found) == (expected or set(made))
    if "machineType" in query:
        assert found["jobSpec"] == {"workerPoolSpecs": [{"machineSpec": {"machineType": "n1-standard-4"}}]}


@pytest.mark.parametrize("query", ["fields=nothing", "fields=name(", "fields=,", "alt=media", "fields=a/", "alt=xml"])
def test_bad_system_parameters_are_refused(rest: Any, query: str) -> None:
    """With an error in JSON."""
    made = call(rest, "POST", BASE, JOB)[1]
    status, answer = call(rest, "GET", f"/v1/{made['name']}?{query}")

    assert (status, answer["error"]["status"]) == (400, "INVALID_ARGUMENT")


def test_other_ways_to_say_the_same(rest: Any) -> None:
    """A token in the query, a method in a header, a mask in snake_case, and messages instead of JSON."""
    from google.cloud.aiplatform_v1.types import CustomJob

    made = call(rest, "POST", BASE, JOB)[1]
    query = f"?access_token={rest.service.token}"
    masked = call(rest, "GET", f"{BASE}?readMask=display_name,create_time")[1]["customJobs"][0]
    status, headers, body = raw(rest, "GET", f"/v1/{made['name']}?alt=proto")
    sent = CustomJob.serialize(CustomJob.from_json(json.dumps(JOB)))

    assert raw(rest, "GET", f"/v1/{made['name']}{query}", Authorization="")[0] == 200
    assert raw(rest, "POST", f"/v1/{made['name']}", b"", X_HTTP_Method_Override="GET")[0] == 200
    assert set(masked) == {"displayName", "createTime"}
    assert (status, headers["Content-Type"]) == (200, "application/x-protobuf")
    assert CustomJob.deserialize(body).name == made["name"]
    assert raw(rest, "POST", BASE, sent, Content_Type="application/x-protobuf")[0] == 200
    assert raw(rest, "HEAD", BASE)[0] == 404


def test_entries_are_written_and_listed_by_project(rest: Any) -> None:
    """What google-cloud-logging writes is found again, with its own resource and labels."""
    from prefect_vertex_training.local_vertex.store.records import JobRecord

    rest.store.create(JobRecord(id="1"))
    log = "projects/local/logs/my%2Flog"
    job = {"type": "ml_job", "labels": {"job_id": "1"}}
    entries = [
        {"textPayload": "plain", "severity": "ERROR", "labels": {"a.b/c": "d"}},
        {"jsonPayload": {"loss": 0.5}, "logName": "projects/local/logs/of-job", "resource": job},
    ]
    written = call(rest, "POST", "/v2/entries:write", {"logName": log, "entries": entries})
    found = call(rest, "POST", "/v2/entries:list", {"projectIds": ["local"], "filter": 'labels."a.b/c"="D"'})[1]
    of_job = call(rest, "POST", "/v2/entries:list", {"projectIds": ["local"], "filter": 'resource.labels.job_id="1"'})[
        1
    ]

    assert written == (200, {})
    assert [(entry["logName"], entry["severity"], entry["resource"]["type"]) for entry in found["entries"]] == [
        (log, "ERROR", "global")
    ]
    assert [entry["jsonPayload"] for entry in of_job["entries"]] == [{"loss": 0.5}]
    assert call(rest, "GET", "/v2/projects/local/logs")[1]["logNames"] == [log, "projects/local/logs/of-job"]
    assert call(rest, "POST", "/v2/entries:write", {"logName": "x", "entries": [{}]})[0] == 400
    view = "projects/local/locations/global/buckets/_Default/views/_AllLogs"
    assert len(call(rest, "POST", "/v2/entries:list", {"resourceNames": [view]})[1]["entries"]) == 2
