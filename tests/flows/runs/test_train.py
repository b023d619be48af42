"""The whole train flow, with a real Prefect server and a real job in local_vertex."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from fixtures.google.object_store import object_store  # noqa: F401 - a fixture
from fixtures.prefect_api.worker import until
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from prefect.artifacts import Artifact
from prefect.settings import PREFECT_DEFAULT_RESULT_STORAGE_BLOCK, temporary_settings
from prefect_gcp import GcpCredentials, GcsBucket
from prefect_vertex_training.core.errors import JobFailed, ModelMissing, VerifyError
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.flows.train import train
from prefect_vertex_training.images.oci.layout import OciLayout
from prefect_vertex_training.local_vertex import lifecycle
from prefect_vertex_training.local_vertex.client import set_faults
from prefect_vertex_training.tasks.reporting.logged_lines import lines_of_run
from prefect_vertex_training.vertex.client.connection import Connection

pytestmark = pytest.mark.prefect

STEPS = ["verify", "freeze", "build", "push", "submit", "watch", "receipt"]


def states(result: object) -> dict[str, str]:
    """Each step's final state by the step's name."""
    return {step.name: step.state for step in result.steps}  # pyright: ignore[reportAttributeAccessIssue]


def artifact(key: str) -> str:
    """The text of the newest artifact of that key."""
    found = Artifact.get(key)
    assert found is not None
    return str(found.data)  # pyright: ignore[reportAttributeAccessIssue]


def test_a_first_run_completes_every_step_and_a_second_reuses_what_is_unchanged(home: Home, project: Path) -> None:
    """Verify, freeze, build and push are Cached in a second run; the job is a new one."""
    first = train(project, args=["--epochs", "3"])
    second = train(project, args=["--epochs", "3"])

    assert states(first) == dict.fromkeys(STEPS, "Completed")
    assert [name for name, state in states(second).items() if state == "Cached"] == STEPS[:4]
    assert first.state == "JOB_STATE_SUCCEEDED"
    assert json.loads((Path(first.model) / "model.json").read_text()) == {"epochs": 3}
    assert first.image == second.image
    assert first.job != second.job
    receipt = json.loads(Path(first.receipt).read_text("utf-8"))
    assert Path(first.receipt).parent == Path(first.model).parent
    assert (receipt["image"], receipt["job"]["name"], receipt["args"]) == (first.image, first.job, ["--epochs", "3"])
    assert [file["path"] for file in receipt["files"]] == ["model.json"]
    assert len(receipt["requirements"]["sha256"]) == len(receipt["code"]["fingerprint"]) == 64


def test_results_in_a_bucket_serve_another_machine(
    home: Home,
    project: Path,
    object_store: str,  # noqa: F811 - the fixture
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a GcsBucket block as result storage, a second machine reuses what the first one verified and froze."""
    anonymous = AnonymousCredentials()  # the only difference to a real bucket: no login at Google
    monkeypatch.setattr(GcpCredentials, "get_credentials_from_service_account", lambda _: anonymous)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", object_store)
    storage.Client(project="p", credentials=anonymous).create_bucket("results")
    GcsBucket(bucket="results", gcp_credentials=GcpCredentials(project="p")).save("results", overwrite=True)
    with temporary_settings({PREFECT_DEFAULT_RESULT_STORAGE_BLOCK: "gcs-bucket/results"}):
        first = train(project)
        elsewhere = Home(home.root / "other")
        monkeypatch.setenv("VERTEX_TRAINING_HOME", str(elsewhere.root))
        try:
            second = train(project)
        finally:
            lifecycle.stop(elsewhere)

    assert states(first) == dict.fromkeys(STEPS, "Completed")
    assert [name for name, state in states(second).items() if state == "Cached"] == STEPS[:2]
    assert second.image.rpartition("@")[2] == first.image.rpartition("@")[2]


def test_a_changed_line_changes_the_digest_and_changing_it_back_restores_it(home: Home, project: Path) -> None:
    """The image's digest depends on its content alone."""
    script = project / "train.py"
    text = script.read_text()
    first = train(project)
    script.write_text(text + "\nprint('more')\n")
    changed = train(project)
    script.write_text(text)
    again = train(project)

    assert changed.image != first.image
    assert again.image == first.image


def test_a_removed_image_is_noticed_and_rebuilt(home: Home, project: Path) -> None:
    """A digest is trusted only after the image layout confirmed that it has it."""
    first = train(project)
    shutil.rmtree(home.images)
    second = train(project)

    assert states(second)["verify"] == "Cached"
    assert (states(second)["build"], states(second)["push"]) == ("Completed", "Completed")
    assert second.image == first.image
    assert OciLayout(home.images, "tiny").head_manifest(second.image.rpartition("@")[2]) is not None


def test_a_script_that_fails_here_never_becomes_a_job(home: Home, project: Path) -> None:
    """Verify ends the run before anything is built."""
    (project / "train.py").write_text("raise SystemExit(7)\n")

    with pytest.raises(VerifyError, match="7"):
        train(project)
    assert not list(home.images.glob("blobs/sha256/*"))


def test_a_locked_run_freezes_first_and_is_reused(home: Home, project: Path) -> None:
    """The clean environment is made from the frozen list, so freeze comes first; without a list both modes are one."""
    first = train(project, verify="locked")
    second = train(project)

    assert [step.name for step in first.steps] == ["freeze", "verify", *STEPS[2:]]
    assert (states(first)["freeze"], states(first)["verify"]) == ("Completed", "Completed")
    assert (states(second)["freeze"], states(second)["verify"]) == ("Cached", "Cached")


def test_a_job_that_fails_ends_the_run_with_its_last_lines(home: Home, project: Path) -> None:
    """The diagnosis names the exception; the detail holds the traceback."""
    text = "import os\nif 'CLOUD_ML_JOB_ID' in os.environ:\n    raise ValueError('no such data')\n"
    (project / "train.py").write_text(text + (project / "train.py").read_text())

    with pytest.raises(JobFailed, match="no such data") as caught:
        train(project)
    assert "Traceback" in (caught.value.detail or "")
    assert caught.value.kind == "user_code"
    page = artifact("tiny-failure")
    assert "| kind | user\\_code |" in page
    command = f"vertex-training local logs {(caught.value.where or '').rpartition('/')[2]}"
    assert f"| log here | <code>{command}</code> |" in re.sub(r"<wbr>|\\", "", page)
    assert "ValueError: no such data" in page


def jobs(home: Home) -> list[tuple[str, str]]:
    """Attempt and state of every job of the local service, oldest first."""
    connection = Connection.local(home)
    found = list(connection.jobs.list_custom_jobs(parent=connection.parent))
    return sorted((job.labels["vertex_training_attempt"], job.state.name.removeprefix("JOB_STATE_")) for job in found)


def inject(home: Home, **faults: object) -> None:
    """Sets faults of local_vertex."""
    set_faults(lifecycle.ensure_running(home), faults)


def test_a_retry_of_the_flow_does_not_pay_for_a_users_error_again(home: Home, project: Path) -> None:
    """Retries of the flow find the failed job, and raise the same error."""
    (project / "train.py").write_text(
        (project / "train.py").read_text() + "if 'CLOUD_ML_JOB_ID' in os.environ:\n    raise ValueError('no data')\n"
    )

    with pytest.raises(JobFailed, match="ValueError: no data"):
        train.with_options(retries=2, retry_delay_seconds=0)(project)
    assert jobs(home) == [("1", "FAILED")]


def test_the_platforms_failure_gets_another_job(home: Home, project: Path) -> None:
    """The run continues with the next attempt's job, and its model is there."""
    inject(home, stock_out=1)
    result = train(project)

    assert result.state == "JOB_STATE_SUCCEEDED"
    assert jobs(home) == [("1", "FAILED"), ("2", "SUCCEEDED")]


def test_the_budget_ends_the_run(home: Home, project: Path) -> None:
    """The project's settings allow two attempts; the flow's retry makes no third."""
    (project / "pyproject.toml").write_text("[tool.vertex-training]\nattempts = 2\n")
    inject(home, preempt=20)

    with pytest.raises(JobFailed, match="attempt 2 of 2") as caught:
        train.with_options(retries=1, retry_delay_seconds=0)(project)
    assert caught.value.kind == "preempted"
    assert jobs(home) == [("1", "FAILED"), ("2", "FAILED")]


def test_a_job_that_saves_no_model_is_a_failure_that_names_the_folder(home: Home, project: Path) -> None:
    """A job that succeeded without a model fails the run."""
    script = (project / "train.py").read_text()
    (project / "train.py").write_text(f"import os\nif 'CLOUD_ML_JOB_ID' in os.environ:\n    raise SystemExit\n{script}")

    with pytest.raises(ModelMissing, match="model"):
        train(project)


def test_a_script_that_saves_no_model_never_becomes_a_job(home: Home, project: Path) -> None:
    """Verify reports it, with the variable that names the folder, before anything is built."""
    (project / "train.py").write_text("print('forgot')\n")

    with pytest.raises(VerifyError, match="AIP_MODEL_DIR"):
        train(project)
    assert not list(home.images.glob("blobs/sha256/*"))


def test_the_local_service_may_die_while_the_job_runs(home: Home, project: Path) -> None:
    """The watch is retried, the service started again and the job found: it ran once, each line is logged once."""
    import os
    import signal
    import threading
    import time

    marker = project.parent / "runs.txt"
    text = (project / "train.py").read_text()
    slow = (
        "import os, time\nif 'CLOUD_ML_JOB_ID' in os.environ:\n"
        "    for number in range(10): print('line', number, flush=True)\n    time.sleep(1)\n"
        f"    open({str(marker)!r}, 'a').write('x')\n    time.sleep(3)\n"
        "    for number in range(10, 20): print('line', number, flush=True)\n"
    )
    (project / "train.py").write_text(slow + text)

    def kill() -> None:
        while not marker.exists():
            time.sleep(0.05)
        running = lifecycle.find(home)
        assert running is not None
        os.kill(running.pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    state = train(project, return_state=True)
    killer.join()

    result, run = state.result(), state.state_details.flow_run_id
    assert result.state == "JOB_STATE_SUCCEEDED"  # pyright: ignore[reportAttributeAccessIssue]
    assert marker.read_text() == "x"
    assert run
    until(lambda: "line 19" in lines_of_run(run))
    logged = [line for line in lines_of_run(run) if line.startswith("line ")]
    assert logged == [f"line {number}" for number in range(20)]
