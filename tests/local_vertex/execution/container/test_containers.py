"""Jobs whose replicas are containers of a real Docker engine."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from docker.errors import ImageNotFound
from prefect_vertex_training.images.oci.config import PREFIX
from prefect_vertex_training.local_vertex.execution.container.container import host_address

PATH = "PATH=/bin"


@pytest.fixture
def system(images: Any, docker_engine: Any) -> Iterator[Any]:
    """Creates images of a tiny system, busybox; they are removed from the engine after the test."""
    busybox = shutil.which("busybox")
    if busybox is None:
        from fixtures.suite.external_tools import missing

        missing("docker", "no program for a tiny image: apt-get install busybox-static")
    program = Path(busybox).read_bytes()
    made: list[str] = []

    def image(script: str = "", **config: Any) -> str:
        names = ("sh", "echo", "sleep", "cat", "pwd")
        layer = [("bin/", None), ("bin/busybox", program), *_links(names)]
        folders = [("tmp/", None), ("work/", None)]
        entry = {"Entrypoint": ["/bin/sh", "-c", script, "sh"]} if script else {}
        made.append(images.image([layer, folders], base="sha256:1", Env=[PATH], **{**entry, **config}))
        return made[-1]

    yield image
    for reference in made:
        name = f"vertex-training-layout:{reference.rpartition(':')[2]}"
        for found in docker_engine.images.list(name=name):
            docker_engine.images.remove(found.id, force=True)


@pytest.fixture
def python_image(docker_engine: Any, open_registry: Any, python_base: Any) -> Iterator[str]:
    """Debian with Python in a registry without a password, by digest."""
    name = f"{open_registry.host}/base/python"
    source = f"dir:{python_base.folder}"
    subprocess.run(["skopeo", "copy", "--quiet", "--dest-tls-verify=false", source, f"docker://{name}:x"], check=True)
    yield f"{name}@{python_base.digest}"
    docker_engine.images.remove(f"{name}@{python_base.digest}", force=True)


@pytest.mark.parametrize(
    ("config", "address"),
    [
        ([{"Subnet": "172.17.0.0/16", "Gateway": "172.17.0.1"}], "172.17.0.1"),
        ([{"Subnet": "172.17.0.0/16", "Gateway": "172.17.42.1/16"}], "172.17.42.1"),
        ([{"Subnet": "172.17.0.0/16"}], "172.17.0.1"),  # an engine that started for the first time
        ([{"Subnet": "10.1.2.3/24"}], "10.1.2.1"),
        ([{"Subnet": "fd00::/64"}, {"Subnet": "10.0.0.0/8", "Gateway": "10.9.9.9"}], "10.9.9.9"),
        ([{}], None),
        (None, None),
    ],
)
def test_the_address_that_containers_reach(config: Any, address: str | None) -> None:
    """The network's gateway, or the first address of its subnet."""
    assert host_address({"IPAM": {"Config": config}}) == address


def test_an_image_that_only_the_engine_has_runs(
    harness: Any, images: Any, pool: Any, docker_engine: Any, tmp_path: Path
) -> None:
    """An image that `docker build` has just made needs no registry, by its tag and by its short name."""
    busybox = shutil.which("busybox")
    assert busybox is not None
    with tarfile.open(tmp_path / "system.tar", "w") as archive:
        archive.add(busybox, "bin/busybox")
        for link in _links(("sh", "echo")):
            archive.addfile(link)
    name = f"vertex-training-test-{tmp_path.parent.name}"
    docker_engine.api.import_image(str(tmp_path / "system.tar"), repository=name, tag="one")
    try:
        for uri in (f"{name}:one", f"registry.invalid/{name}:one"):
            docker_engine.images.get(f"{name}:one").tag(uri.rpartition(":")[0], "one")
            record = harness.run(pool(uri, command=["sh", "-c", "echo hello"]))
            assert record.state == "JOB_STATE_SUCCEEDED", record.error_message
            assert harness.lines(record.id, "workerpool0-0") == ["hello"]
    finally:
        for uri in (f"{name}:one", f"registry.invalid/{name}:one"):
            docker_engine.images.remove(uri, force=True)


def _links(names: tuple[str, ...]) -> list[Any]:
    links = []
    for name in names:
        link = tarfile.TarInfo(f"bin/{name}")
        link.type, link.linkname = tarfile.SYMTYPE, "busybox"
        links.append(link)
    return links


def containers(engine: Any, job: str) -> list[Any]:
    """The job's containers, in any state."""
    return engine.containers.list(all=True, filters={"label": f"{PREFIX}.job={job}"})


def test_an_image_with_a_base_runs_as_a_container(harness: Any, system: Any, pool: Any, docker_engine: Any) -> None:
    """Environment, working directory, arguments, /gcs and both outputs work; nothing stays in the engine."""
    image = system(
        "echo $AIP_MODEL_DIR $1 $OWN; pwd; echo problem >&2; echo model > /gcs/b/run/model/m", WorkingDir="/work"
    )
    record = harness.run(
        pool(image, args=["$(CLOUD_ML_REGION)"], env={"OWN": "x"}),
        base_output_directory={"output_uri_prefix": "gs://b/run"},
    )
    found = harness.store.find_logs("job_id = ? AND task = 'workerpool0-0'", [record.id])

    assert record.state == "JOB_STATE_SUCCEEDED", record.error_message
    assert sorted((line.entry.severity, line.entry.payload) for line in found) == [
        ("ERROR", "problem"),
        ("INFO", "/work"),
        ("INFO", "gs://b/run/model/ us-central1 x"),
    ]
    assert (harness.folder / "buckets" / "b" / "run" / "model" / "m").read_text() == "model\n"
    assert containers(docker_engine, record.id) == []


def test_exit_statuses_come_from_the_container(harness: Any, system: Any, pool: Any) -> None:
    """A failed program and a missing program have the right exit status."""
    failed = harness.run(pool(system("exit 9")))
    absent = harness.run(pool(system(Entrypoint=["/no/such/program"])))

    assert "non-zero status of 9. Termination reason: Error." in failed.error_message
    assert "non-zero status of 128. Termination reason: StartError." in absent.error_message
    assert "/no/such/program" in absent.error_message


def test_cancelling_stops_a_container_that_handles_no_signal(
    harness: Any, system: Any, pool: Any, docker_engine: Any
) -> None:
    """As process 1 it would ignore SIGTERM; with an init as process 1 it doesn't."""
    harness.faults.update({"grace_seconds": 60.0})
    job = harness.submit(pool(system("echo up; while true; do sleep 1; done")))
    harness.reached(job, lambda _: harness.lines(job, "workerpool0-0"))
    started = time.monotonic()
    harness.cancel(job)
    record = harness.ended(job)

    assert (record.state, record.error_code) == ("JOB_STATE_CANCELLED", 1)
    assert time.monotonic() - started < 30
    assert containers(docker_engine, job) == []


def test_two_containers_exchange_a_value(
    harness: Any, python_image: str, pool: Any, docker_engine: Any, exchange: str
) -> None:
    """They connect through MASTER_ADDR, by name, in the job's own network, which is removed afterwards."""
    replica = pool(python_image, command=["python3", "-c", exchange])
    record = harness.run(replica, replica)

    assert record.state == "JOB_STATE_SUCCEEDED", record.error_message
    assert harness.lines(record.id, "workerpool0-0") == ["got from worker of 2"]
    assert harness.lines(record.id, "workerpool1-0") == ["got from primary"]
    assert docker_engine.networks.list(filters={"label": f"{PREFIX}.job={record.id}"}) == []


def test_a_container_outlives_its_service(harness: Any, system: Any, pool: Any, docker_engine: Any) -> None:
    """The next service finds it, continues to read its output, and starts no second one."""
    image = system("echo one; until cat /gcs/b/go 2>/tmp/x; do sleep 0.1; done; echo two")
    (harness.folder / "buckets" / "b").mkdir()
    job = harness.submit(pool(image))
    harness.reached(job, lambda _: harness.lines(job, "workerpool0-0") == ["one"])
    (before,) = containers(docker_engine, job)
    harness.executor.stop()
    (harness.folder / "buckets" / "b" / "go").write_text("go\n")
    harness.restart()
    record = harness.ended(job)

    assert record.state == "JOB_STATE_SUCCEEDED"
    assert harness.lines(job, "workerpool0-0") == ["one", "go", "two"]
    assert before.attrs["State"]["Running"]


def test_a_container_can_share_the_machines_ipc(harness: Any, system: Any, pool: Any, docker_engine: Any) -> None:
    """With `ipc_host` the container shares the machine's IPC namespace; by default it doesn't."""
    for wanted, mode in ((True, "host"), (False, "private")):
        harness.faults.update({"ipc_host": wanted})
        job = harness.submit(pool(system("echo up; sleep 1000")))
        harness.reached(job, lambda _, job=job: harness.lines(job, "workerpool0-0"))
        (container,) = containers(docker_engine, job)
        harness.cancel(job)
        harness.ended(job)

        assert container.attrs["HostConfig"]["IpcMode"] == mode


def test_an_image_without_a_base_runs_from_a_registry_without_an_engine(
    harness: Any, images: Any, pool: Any, open_registry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its layers are read from the registry, by tag or by digest."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    made = images.script("print('ran')")
    name = f"{open_registry.host}/no/base"
    layout = f"oci:{images.layout.folder}:demo@{made.rpartition('@')[2]}"
    subprocess.run(["skopeo", "copy", "--quiet", "--dest-tls-verify=false", layout, f"docker://{name}:x"], check=True)
    for image in (f"{name}:x", f"{name}@{made.rpartition('@')[2]}"):
        record = harness.run(pool(image))

        assert harness.lines(record.id, "workerpool0-0") == ["ran"], record.error_message


def test_an_image_of_a_registry_is_pulled_by_digest(harness: Any, pool: Any, python_image: str) -> None:
    """A real base image with Python is pulled from a real registry."""
    record = harness.run(
        pool(python_image, command=["python3", "-c"], args=["import sys; print(sys.version_info[:2])"])
    )

    assert record.state == "JOB_STATE_SUCCEEDED", record.error_message
    assert harness.lines(record.id, "workerpool0-0") == ["(3, 11)"]


def test_a_login_that_a_client_lends(
    harness: Any, pool: Any, docker_registry: Any, python_base: Any, docker_engine: Any
) -> None:
    """An image of a registry with a password can be run with the login of the block, which is in memory only."""
    image = f"{docker_registry.host}/base/python@{python_base.digest}"
    with suppress(ImageNotFound):
        docker_engine.images.remove(image, force=True)
    spec = pool(image, command=["python3"], args=["-c", "print('ran')"])
    refused = harness.run(spec)
    assert refused.state == "JOB_STATE_FAILED"
    assert "401" in refused.error_message
    login = {"username": docker_registry.username, "password": docker_registry.password}
    harness.executor._logins.lend(docker_registry.host, login)
    record = harness.run(spec)

    assert record.state == "JOB_STATE_SUCCEEDED", record.error_message
    kept = [path for path in harness.folder.rglob("*") if path.is_file()]
    assert [path for path in kept if docker_registry.password.encode() in path.read_bytes()] == []
