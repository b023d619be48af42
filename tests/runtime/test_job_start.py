"""The runtime as a process: exit status, signals, and which files it saves where."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

SAVE = "import os; os.makedirs('out', exist_ok=True); open('out/a.pt', 'w').write('A');"
READY = "print('ready', flush=True);"


def test_outputs_become_the_model(job, files) -> None:
    """New files that match are copied with their paths when the script has succeeded; nothing else is."""
    status, out, err = job.run(f"{SAVE} os.makedirs('more/b'); open('more/b/a.pt', 'w').close(); print('done')")

    assert (status, out) == (0, "done\n")
    assert err == "vertex-training: outputs: 1 file copied to the model's folder\n"
    assert files(job.model) == {"out/a.pt": "A"}
    assert not job.partial.exists()


def test_files_of_the_image_count_only_if_the_script_wrote_them(job, files) -> None:
    """Unchanged files are no outputs; changed ones are, even with the same content."""
    (job.work / "out").mkdir()
    for name in ("kept.pt", "edited.pt", "same.pt", "replaced.pt"):
        (job.work / "out" / name).write_text("image")

    job.run(
        "open('out/edited.pt', 'a').write('+'); open('out/same.pt', 'w').write('image');"
        "import os; open('x', 'w').write('new'); os.replace('x', 'out/replaced.pt'); open('out/kept.pt').read()"
    )

    assert files(job.model) == {"out/edited.pt": "image+", "out/replaced.pt": "new", "out/same.pt": "image"}


@pytest.mark.parametrize(("ending", "status"), [("exit(3)", 3), ("os.kill(os.getpid(), 9)", 137), ("os.abort()", 134)])
def test_a_script_that_fails(job, files, ending: str, status: int) -> None:
    """The exit status stays, 128 and the number for a signal; the outputs are in `partial`, none in the model."""
    assert job.run(f"{SAVE} {ending}")[0] == status
    assert files(job.partial) == {"out/a.pt": "A"}
    assert not job.model.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGRTMIN])
def test_signals_reach_the_script(job, files, number: int) -> None:
    """A signal to the runtime is one signal to the script, which may catch it and end as it likes."""
    script = f"{SAVE} import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [{int(number)}]);"
    script += f"{READY} got = signal.sigwait([{int(number)}]); print(int(got), signal.sigpending()); exit(5)"
    with job.start(script) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        out, _ = process.communicate(timeout=60)

    assert (process.returncode, out) == (5, f"{int(number)} set()\n")
    assert files(job.partial) == {"out/a.pt": "A"}


def test_stopped_and_yet_successful(job, files) -> None:
    """A script that was asked to stop and exits with 0 did not finish: its outputs are partial."""
    script = f"{SAVE} import signal; signal.signal(15, lambda *_: exit(0)); {READY} signal.pause()"
    with job.start(script) as process:
        process.stdout.readline()
        process.terminate()

    assert process.returncode == 0
    assert files(job.partial) == {"out/a.pt": "A"}
    assert not job.model.exists()


def test_a_signal_that_nothing_catches(job) -> None:
    """SIGTERM ends a script without a handler, and the status says so."""
    with job.start(f"import signal; {READY} signal.pause()") as process:
        process.stdout.readline()
        process.terminate()

    assert process.returncode == 128 + signal.SIGTERM


def test_without_its_variable_the_runtime_is_gone(job) -> None:
    """The command replaces the runtime: the same process, the same ignored signals, no output folder."""
    show = "import os; print(os.getpid(), [l for l in open('/proc/self/status') if l.startswith('SigIgn')])"
    with job.start(show, job.env([])) as process:
        out, err = process.communicate(timeout=60)
    with subprocess.Popen([sys.executable, "-c", show], stdout=subprocess.PIPE, text=True) as direct:
        expected, _ = direct.communicate(timeout=60)

    assert (out, err) == (expected.replace(str(direct.pid), str(process.pid)), "")
    assert not job.output.exists()


@pytest.mark.parametrize("outputs", [[], ["out"]])
@pytest.mark.parametrize(("word", "status"), [("nope", 127), ("/", 126)])
def test_a_command_that_can_not_start(job, outputs: list[str], word: str, status: int) -> None:
    """The status is a shell's, and the message names the command."""
    done = subprocess.run(
        job.command(word), cwd=job.work, env=job.env(outputs), capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == status
    assert done.stderr.startswith(f"vertex-training: can't start {word}: ")
    assert done.stderr.count("\n") == 1


def test_modules_of_the_project_do_not_reach_the_runtime(job, files) -> None:
    """A project may have modules that are named like those of the standard library, or like the runtime."""
    for name in ("contextlib", "tempfile", "runtime", "job_start"):
        (job.work / f"{name}.py").write_text("raise SystemExit(99)")

    done = subprocess.run(
        job.command("sh", "-c", "echo A > a.pt"),
        cwd=job.work,
        env=job.env(["*.pt"], PYTHONPATH="."),
        capture_output=True,
        check=False,
        timeout=60,
    )

    assert (done.returncode, files(job.model)) == (0, {"a.pt": "A\n"}), done.stderr
    assert not list(job.runtime.rglob("*.pyc"))


def test_links_and_special_files(job, files, tmp_path: Path) -> None:
    """A link to a file inside is its content; what leads outside, folders by link, and special files are named."""
    (tmp_path / "secret").write_text("outside")
    script = (
        f"{SAVE} os.symlink('a.pt', 'out/link.pt'); os.symlink('{tmp_path}/secret', 'out/outside');"
        "os.makedirs('run1'); os.symlink('../run1', 'out/folder'); os.symlink('none', 'out/broken');"
        "os.mkfifo('out/pipe'); os.link('out/a.pt', 'out/hard.pt')"
    )

    status, _, err = job.run(script)

    assert status == 0
    assert files(job.model) == dict.fromkeys(("out/a.pt", "out/hard.pt", "out/link.pt"), "A")
    for line in (
        "out/outside: a link out of the working directory",
        "out/folder: a link to a folder; name the folder itself, run1",
        "out/broken: a link to nothing",
        "out/pipe: not a regular file",
    ):
        assert f"vertex-training: outputs: left out {line}\n" in err


def test_a_linked_folder_does_not_lead_outside(job, tmp_path: Path) -> None:
    """A folder that is a link out of the working directory is not searched."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/a.pt").write_text("outside")

    status, _, err = job.run(f"import os; os.symlink('{tmp_path}/elsewhere', 'out')", job.env(["out/*.pt"]))

    assert status == 0
    assert "left out out: a link out of the working directory" in err
    assert not job.model.exists()


def test_only_the_primary_replica_saves(job, files) -> None:
    """Other replicas would overwrite its outputs."""
    spec = {"cluster": {}, "task": {"type": "workerpool1", "index": 0}}
    assert job.run(SAVE, job.env(CLUSTER_SPEC=json.dumps(spec)))[0] == 0
    assert not job.output.exists()

    spec["task"]["type"] = "workerpool0"
    job.run(SAVE, job.env(CLUSTER_SPEC=json.dumps(spec)))
    assert files(job.model) == {"out/a.pt": "A"}


def test_an_address_is_a_path_of_the_mounted_bucket(job) -> None:
    """Without the path, `gs://` is looked for below /gcs; what can't be written stops before the script."""
    too_long = "x" * 300  # a name that no folder can have
    env = job.env(VERTEX_TRAINING_MODEL_DIR="", AIP_MODEL_DIR=f"gs://{too_long}/run/model/")

    status, _, err = job.run(SAVE, env)

    assert status == 1
    assert f"can't write /gcs/{too_long}/run/outputs.json: File name too long" in err
    assert not (job.work / "out").exists()


def test_a_bad_variable_stops_before_the_script(job) -> None:
    """A pattern that leads outside never starts the script."""
    status, _, err = job.run(SAVE, job.env(["../x"]))

    assert status == 1
    assert err == (
        "vertex-training: VERTEX_TRAINING_OUTPUTS can't be read: '../x' is not a pattern inside the working directory\n"
    )
    assert not (job.work / "out").exists()


def test_no_model_folder(job) -> None:
    """A job without an output folder fails before the script starts."""
    status, _, err = job.run(SAVE, job.env(VERTEX_TRAINING_MODEL_DIR=""))

    assert status == 1
    assert "AIP_MODEL_DIR isn't set" in err
    assert not (job.work / "out").exists()


def test_as_the_first_process_it_collects_zombies(job, files) -> None:
    """As process 1 the runtime collects processes that lost their parent, and the script's status stays."""
    namespace = ["unshare", "--fork", "--pid", "--mount-proc", "--kill-child"]
    if subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine can't make process namespaces")
    script = (
        f"{SAVE} import subprocess, time\n"
        "orphan = subprocess.check_output(['sh', '-c', 'sleep 0.05 >/dev/null & echo $!'], text=True).strip()\n"
        "end = time.monotonic() + 60\n"
        "while os.path.exists(f'/proc/{orphan}') and time.monotonic() < end: time.sleep(0.01)\n"
        "print(os.getppid(), os.path.exists(f'/proc/{orphan}')); exit(4)"
    )

    done = subprocess.run(
        [*namespace, *job.command(sys.executable, "-c", script)],
        cwd=job.work,
        env=job.env(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (done.returncode, done.stdout) == (4, "1 False\n")
    assert files(job.partial) == {"out/a.pt": "A"}


def test_sockets_are_no_outputs(job, monkeypatch) -> None:
    """A socket that matches is named and does no harm."""
    (job.work / "out").mkdir()
    monkeypatch.chdir(job.work)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("out/s")
        status, _, err = job.run("import os; os.utime('out/s')")

    assert status == 0
    assert "left out out/s: not a regular file" in err
