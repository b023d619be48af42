"""Google's hosts on this machine: the proxy, the metadata server, certificates, and the environment of clients."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import grpc
import pytest
import urllib3
from fixtures.suite.external_tools import missing
from prefect_vertex_training.core.errors import LocalServiceError
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.local_vertex import command, lifecycle
from prefect_vertex_training.local_vertex.cloud import certificates, client_variables, hosts, peers

JOBS = "v1/projects/local/locations/{}/customJobs"


@pytest.fixture
def cloud(start_local: Callable[..., Any]) -> Any:
    """A service with Google's hosts."""
    return start_local(tcp=True, as_cloud=True, regions=("all",))


def get(cloud: Any, url: str, method: str = "GET", *, token: bool = True, **options: Any) -> Any:
    """A call through the proxy, by a client that trusts the home's authorities."""
    proxy = urllib3.ProxyManager(cloud.service.proxy, ca_certs=cloud.service.authorities, retries=False)
    headers = {"Authorization": f"Bearer {cloud.service.token}"} if token else {}
    return proxy.request(method, url, headers=headers, **options)


def metadata(cloud: Any, path: str, **headers: str) -> str:
    """An answer of the metadata server."""
    sent = {name.replace("_", "-"): value for name, value in ({"Metadata_Flavor": "Google"} | headers).items()}
    request = urllib.request.Request(f"http://{cloud.service.metadata}{path}", headers=sent)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
        assert answer.headers["Metadata-Flavor"] == "Google"
        return answer.read().decode()


def test_a_regional_endpoint_serves_its_region(cloud: Any, job: Any) -> None:
    """Over REST and gRPC, the host decides which region is valid; the endpoint without one serves all."""
    made = cloud.jobs().create_custom_job(parent="projects/local/locations/europe-west4", custom_job=job)
    own = get(cloud, f"https://europe-west4-aiplatform.googleapis.com/{JOBS.format('europe-west4')}")
    other = get(cloud, f"https://us-east1-aiplatform.googleapis.com/{JOBS.format('europe-west4')}")
    whole = get(cloud, f"https://aiplatform.googleapis.com/{JOBS.format('europe-west4')}")
    new = get(cloud, f"https://aiplatform.us-east1.rep.googleapis.com/{JOBS.format('us-east1')}")

    assert [one["name"] for one in own.json()["customJobs"]] == [made.name]
    assert (other.status, whole.status, new.status) == (400, 200, 200)
    assert "The valid location ID is `us-east1`." in other.json()["error"]["message"]
    with pytest.raises(grpc.RpcError, match="The valid location ID is `us-east1`"):
        list_over_grpc(cloud, "us-east1-aiplatform.googleapis.com", "europe-west4")
    list_over_grpc(cloud, "europe-west4-aiplatform.googleapis.com", "europe-west4")


def list_over_grpc(cloud: Any, host: str, region: str) -> None:
    """Lists jobs over gRPC through the proxy."""
    from google.cloud.aiplatform_v1.types import ListCustomJobsRequest

    roots = Path(cloud.service.authorities).read_bytes()
    options = [("grpc.http_proxy", cloud.service.proxy)]
    request = ListCustomJobsRequest(parent=f"projects/local/locations/{region}")
    with grpc.secure_channel(f"{host}:443", grpc.ssl_channel_credentials(roots), options) as channel:
        call = channel.unary_unary("/google.cloud.aiplatform.v1.JobService/ListCustomJobs")
        header = ("authorization", f"Bearer {cloud.service.token}")
        call(ListCustomJobsRequest.serialize(request), metadata=[header], timeout=60)


def test_the_proxy_weakens_nothing(cloud: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls need the token; other hosts are refused; another user's process gets nothing at all."""
    url = f"https://us-central1-aiplatform.googleapis.com/{JOBS.format('us-central1')}"
    assert get(cloud, url, token=False).status == 401
    with pytest.raises(urllib3.exceptions.ProxyError, match="403"):
        get(cloud, "https://example.com/")
    with pytest.raises(urllib3.exceptions.SSLError):
        urllib3.ProxyManager(cloud.service.proxy, retries=False).request("GET", url)
    with pytest.raises(urllib.error.HTTPError, match="403"):
        metadata(cloud, "/computeMetadata/v1/project/project-id", Metadata_Flavor="x")
    with pytest.raises(urllib.error.HTTPError, match="403"):
        metadata(cloud, "/computeMetadata/v1/project/project-id", X_Forwarded_For="1.2.3.4")
    monkeypatch.setattr(peers.os, "getuid", lambda: 4711)
    with pytest.raises(urllib3.exceptions.ProxyError, match="403"):
        get(cloud, url)
    with pytest.raises(OSError, match=r".*"):
        metadata(cloud, "/computeMetadata/v1/instance/service-accounts/default/token")


def test_a_program_learns_who_it_is(cloud: Any) -> None:
    """The metadata server and the identity hosts give out project, account and the service's token."""
    account = "/computeMetadata/v1/instance/service-accounts/default"
    number = cloud.service.project_number

    assert json.loads(metadata(cloud, f"{account}/token?scopes=a"))["access_token"] == cloud.service.token
    assert json.loads(metadata(cloud, f"{account}/?recursive=true"))["email"].startswith(number)
    assert metadata(cloud, f"{account}/identity?audience=x").count(".") == 2
    assert metadata(cloud, "/computeMetadata/v1/project/numeric-project-id") == number
    assert metadata(cloud, "/computeMetadata/v1/instance/zone").endswith("/zones/us-central1-a")
    assert metadata(cloud, "/computeMetadata/v1/universe/universe-domain") == "googleapis.com"
    with pytest.raises(urllib.error.HTTPError, match="404"):
        metadata(cloud, "/computeMetadata/v1/instance/none")
    token = get(cloud, "https://oauth2.googleapis.com/token", "POST", body=b"refresh_token=real").json()
    credentials = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/a@b"
    assert token["access_token"] == cloud.service.token
    assert get(cloud, f"{credentials}:generateAccessToken", "POST", body=b"{}").json()["accessToken"]
    assert get(cloud, f"{credentials}:generateIdToken", "POST", body=b'{"audience": "x"}').json()["token"]
    project = get(cloud, "https://cloudresourcemanager.googleapis.com/v3/projects/local").json()
    assert (project["projectId"], project["name"]) == ("local", f"projects/{number}")
    assert get(cloud, "https://iamcredentials.googleapis.com/v1/none").status == 501


def test_buckets_are_reached_by_their_own_host(cloud: Any) -> None:
    """storage.googleapis.com is this home's buckets, which start on demand; several requests use one connection."""
    from prefect_vertex_training.local_vertex.storage import storage_service

    try:
        base = "https://storage.googleapis.com"
        proxy = urllib3.ProxyManager(cloud.service.proxy, ca_certs=cloud.service.authorities, maxsize=1, retries=False)
        data = os.urandom(200_000)
        for number in range(2):
            url = f"{base}/upload/storage/v1/b/local/o?uploadType=media&name=x{number}"
            sent: Any = data if number else iter([data[:100], data[100:]])
            made = proxy.request("POST", url, body=sent, chunked=not number)
            assert made.status == 200, made.data
        found = proxy.request("GET", f"{base}/storage/v1/b/local/o/x0?alt=media")
    finally:
        storage_service.stop(cloud.home.vertex)

    assert found.data == data
    assert (cloud.service.buckets / "local" / "x1").read_bytes() == data
    assert made.json()["mediaLink"].startswith(f"{base}/")


class _Echo(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"{self.headers['Host']}{self.path}".encode())

    def log_message(self, *_: object) -> None: ...


def test_other_hosts_are_served_or_passed_on_as_asked(start_local: Callable[..., Any]) -> None:
    """A host of the user's own is served by the user's program; others are reached where that was asked for."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Echo) as server:
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        port = server.server_port
        own = {"artifactregistry.googleapis.com": f"127.0.0.1:{port}"}
        cloud = start_local(tcp=True, as_cloud=True, other_hosts="pass", hosts=own)
        served = get(cloud, "https://artifactregistry.googleapis.com/v1/x")
        with pytest.raises((urllib3.exceptions.SSLError, urllib3.exceptions.ProxyError)):
            get(cloud, f"https://127.0.0.1:{port}/")  # it is reached, and speaks no TLS
        server.shutdown()

    assert served.data == b"artifactregistry.googleapis.com/v1/x"
    with pytest.raises(LocalServiceError, match="not a host"):
        hosts.parse({"x": "nowhere"})


def test_certificates_are_for_these_hosts_only(tmp_path: Path) -> None:
    """They are kept for the same hosts, made again for others, and can't vouch for anybody else's host."""
    made = certificates.ensure(tmp_path / "c", ["*.googleapis.com"], {})
    first = made.chain.read_bytes()
    assert certificates.ensure(tmp_path / "c", ["*.googleapis.com"], {}).chain.read_bytes() == first
    assert certificates.ensure(tmp_path / "c", ["a.example"], {}).chain.read_bytes() != first

    from cryptography import x509

    authority = x509.load_pem_x509_certificates(first)[1]
    permitted = authority.extensions.get_extension_for_class(x509.NameConstraints).value.permitted_subtrees
    assert permitted is not None
    assert [name.value for name in permitted] == ["googleapis.com"]
    assert made.key.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "c").stat().st_mode & 0o777 == 0o700
    assert len(ssl.create_default_context(cafile=str(made.bundle)).get_ca_certs()) > 50
    assert not [
        path for path in (tmp_path / "c").iterdir() if path.name not in {"authorities.pem", "hosts.pem", "hosts.key"}
    ]


def test_the_environment_has_no_real_credentials(cloud: Any) -> None:
    """Real credentials and other proxies are taken out, exemptions of Google's hosts too; all forms say the same."""
    real = {"GOOGLE_APPLICATION_CREDENTIALS": "/real", "NO_PROXY": "*,x.local,.googleapis.com", "PATH": "/bin"}
    whole = client_variables.changed(cloud.service, real)
    shell = client_variables.shown(cloud.service, "sh", real)

    assert "GOOGLE_APPLICATION_CREDENTIALS" not in whole
    assert "unset GOOGLE_APPLICATION_CREDENTIALS" in shell
    assert whole["no_proxy"] == "localhost,127.0.0.1,::1,x.local"
    assert whole["PATH"] == "/bin"
    values = json.loads(client_variables.shown(cloud.service, "json", real))
    assert (
        dict(line.split("=", 1) for line in client_variables.shown(cloud.service, "dotenv", real).splitlines())
        == values
    )
    assert f"export https_proxy={cloud.service.proxy}" in shell


@pytest.mark.parametrize(
    ("shell", "command"), [("sh", 'eval "$TEXT"'), ("fish", 'printf %s "$TEXT" | source')], ids=["sh", "fish"]
)
def test_the_environment_in_shells(cloud: Any, shell: Any, command: str) -> None:
    """What a shell reads is what `exec` gives a command."""
    if shutil.which(shell) is None:
        missing(shell, f"apt-get install {shell}")
    real = {"GOOGLE_APPLICATION_CREDENTIALS": "/real", "PATH": os.environ["PATH"], "no_proxy": "it's\\x"}
    text = client_variables.shown(cloud.service, shell, real)
    env = {**real, "TEXT": text}
    done = subprocess.run([shell, "-c", f"{command}; env -0"], env=env, capture_output=True, check=True)
    shown = dict(item.split("=", 1) for item in done.stdout.decode().split("\0") if "=" in item)

    assert {**client_variables.changed(cloud.service, real), "TEXT": text}.items() <= shown.items()
    assert "GOOGLE_APPLICATION_CREDENTIALS" not in shown


def test_without_as_cloud_there_is_no_environment(start_local: Callable[..., Any]) -> None:
    """The error says how to start it."""
    with pytest.raises(LocalServiceError, match="without --as-cloud"):
        client_variables.variables(start_local(tcp=True).service)


def test_a_service_that_a_run_started_is_started_again(local_home: Home) -> None:
    """A program needs Google's hosts; one with clients of its own, which have its token, is left alone."""
    before = lifecycle.ensure_running(local_home)
    try:
        found = command.start_as_cloud(local_home, (), (), as_cloud=True)

        assert before.proxy is None
        assert found.proxy
        assert found.pid != before.pid
        assert lifecycle.find(local_home) == found
        lifecycle.stop(local_home)
        lifecycle.ensure_running(local_home, tcp=True)
        with pytest.raises(LocalServiceError, match="started without --as-cloud"):
            command.start_as_cloud(local_home, (), (), as_cloud=True)
    finally:
        lifecycle.stop(local_home)
