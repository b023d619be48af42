"""The command line: what it prints and its exit codes, for good and bad input."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fixtures.prefect_api.prefect_server import REGISTERED, copy_tables, server_environment
from prefect_vertex_training.cli.main import main
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.local_vertex import lifecycle

PROGRAM = Path(sys.executable).with_name("vertex-training")
DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"


def run(*words: object, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of one command in this process."""
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    out, err = capsys.readouterr()
    return int(stop.value.code or 0), out, err


def assert_one_line_error(code: int, err: str, *parts: str) -> None:
    """Exit code 2, no traceback, and one line that names each part."""
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert code == 2
    assert "Traceback" not in err
    assert len(lines) == 1
    for part in parts:
        assert part in lines[0]


def test_a_missing_folder_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The error line holds the path."""
    code, out, err = run("run", tmp_path / "gone", capsys=capsys)

    assert out == ""
    assert_one_line_error(code, err, str(tmp_path / "gone"))


def test_a_folder_without_a_script_says_which_names_were_looked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error names train.py, the default."""
    code, _, err = run("run", tmp_path, capsys=capsys)

    assert_one_line_error(code, err, "train.py")


def test_a_link_out_of_the_project_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Files outside the folder are not the project's content."""
    (tmp_path / "train.py").write_text("")
    (tmp_path / "data").symlink_to("/etc")
    code, _, err = run("run", tmp_path, capsys=capsys)

    assert_one_line_error(code, err, "data", "/etc")


def test_a_file_name_that_is_not_utf8_is_shown_escaped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tools would read such a name in an image differently."""
    (tmp_path / "train.py").write_text("")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")).write_text("")
    code, _, err = run("run", tmp_path, capsys=capsys)

    assert_one_line_error(code, err, "UTF-8", "caf\\xe9")


def test_an_unknown_option_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """With the command that prints the help."""
    code, _, err = run("run", DIGITS, "--registri", "x", capsys=capsys)

    assert_one_line_error(code, err, "--registri", "--help")


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("run proj --epochs 3", "run proj -- --epochs 3"),
        ("run proj --json --lr=0.1 -e 3 -- --x 2", "run proj --json -- --lr=0.1 -e 3 --x 2"),
        ("run proj lr=0.1", "run proj -- lr=0.1"),
        ("deploy proj --epochs 3 --cron daily", "deploy proj --cron daily -- --epochs 3"),
    ],
)
def test_arguments_of_the_script_need_two_dashes(words: str, meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The line has the whole command as it was probably meant."""
    code, _, err = run(*words.split(), capsys=capsys)

    assert_one_line_error(code, err, f"Put the script's arguments after --: vertex-training {meant}. ")


def test_commands_without_a_script_don_t_speak_of_one(capsys: pytest.CaptureFixture[str]) -> None:
    """There the option is just unknown."""
    code, _, err = run("local", "status", "--epochs", "3", capsys=capsys)

    assert_one_line_error(code, err, "--epochs")
    assert "--:" not in err


COMPLETE = """
source "$1"
for line in "ru" "local st" "run --ver" "run --builder d"; do
  COMP_WORDS=(vertex-training $line); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=()
  _vertex_training
  echo "${COMPREPLY[*]}"
done
"""


def test_bash_completes_commands_options_and_values(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the script that `completion` prints."""
    code, out, _ = run("completion", "bash", capsys=capsys)
    script = tmp_path / "completion.bash"
    script.write_text(out)
    done = subprocess.run(["bash", "-c", COMPLETE, "-", script], capture_output=True, text=True, check=True)

    assert code == 0
    assert done.stdout.splitlines() == [
        "run runs",
        "start status stop",
        "--vertex --verify --verify-resume --version",
        "direct docker",
    ]


@pytest.mark.prefect
@pytest.mark.parametrize(
    ("requirements", "parts"),
    [
        ("no-such-package-zzz==1\n", ["no-such-package-zzz"]),
        ("numpy\nthing @ file:///somewhere/thing\n", ["requirements.txt:2", "file:///somewhere/thing"]),
        ("-e .\n", ["requirements.txt:1", "-e"]),
    ],
)
def test_a_requirement_that_cannot_be_frozen_is_named_with_its_line(
    requirements: str, parts: list[str], home: object, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the line of its file, before anything is built."""
    (project / "requirements.txt").write_text(requirements)
    code, _, err = run("run", project, capsys=capsys)

    assert_one_line_error(code, err, *parts)


@pytest.mark.prefect
def test_a_script_that_fails_shows_its_exit_code_and_last_lines(
    home: object, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it printed was logged line by line, and is not printed again with the error."""
    (project / "train.py").write_text("print('before the end')\nraise SystemExit(3)\n")
    code, _, err = run("run", project, capsys=capsys)

    assert_one_line_error(code, err, "3", "train.py")
    assert err.count("before the end") == 2, "once as it came, once as the error's reason"


@pytest.mark.prefect
def test_a_script_that_hangs_is_ended_by_the_time_limit(
    home: object, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The project's settings hold the limit."""
    (project / "train.py").write_text("import time\ntime.sleep(3600)\n")
    (project / "pyproject.toml").write_text("[tool.vertex-training]\nverify-timeout = 1\n")
    code, _, err = run("run", project, capsys=capsys)

    assert_one_line_error(code, err, "1 s", "verify-timeout")


@pytest.mark.prefect
def test_too_many_argument_characters_are_refused_before_anything_runs(
    home: object, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Vertex AI's limit is 100,000 characters together."""
    code, _, err = run("run", project, "--", "x" * 100_001, capsys=capsys)

    assert_one_line_error(code, err, "100,000")


@pytest.mark.prefect
def test_json_is_one_object(home: Home, project: Path, prefect_server: str, tmp_path: Path) -> None:
    """Standard output is one JSON object, standard error the steps' lines and nothing of Prefect's.

    Skopeo can read the image; the model is there.
    """
    env = {**os.environ, "PREFECT_API_URL": prefect_server, "PREFECT_LOCAL_STORAGE_PATH": str(tmp_path / "results")}
    command = [PROGRAM, "run", project, "--json", "--", "--epochs", "5"]
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)

    step_lines = done.stderr.partition("\nstep ")[0].splitlines()
    names = [step["name"] for step in result["steps"]]
    assert {line.split()[0] for line in step_lines} <= {"project", "page", "files", *names}
    assert set(names) - {"receipt"} <= {line.split()[0] for line in step_lines}
    assert result["state"] == "JOB_STATE_SUCCEEDED"
    assert "@sha256:" in result["image"]
    assert [step["name"] for step in result["steps"]][:2] == ["verify", "freeze"]
    if shutil.which("skopeo"):
        inspected = subprocess.run(["skopeo", "inspect", result["image"]], capture_output=True, text=True, check=True)
        assert json.loads(inspected.stdout)["Architecture"] == "amd64"
    assert json.loads((Path(result["model"]) / "model.json").read_text()) == {"epochs": 5}


@pytest.mark.prefect
def test_an_unknown_block_is_named(home: object, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the command that lists the saved blocks."""
    code, _, err = run("run", project, "--registry", "nope", capsys=capsys)

    assert_one_line_error(code, err, "nope", "prefect block ls")


def test_the_program_starts_as_a_process() -> None:
    """The installed entry point prints its help."""
    done = subprocess.run([PROGRAM, "--help"], capture_output=True, text=True, check=True)

    assert "run" in done.stdout


@pytest.mark.timeout(400)
def test_prefects_own_server_is_quiet(home_without_server: dict[str, str]) -> None:
    """With --temporary-server Prefect starts one, and ends it, without a line on the terminal; none is kept."""
    command = [PROGRAM, "orphans", "--temporary-server"]
    done = subprocess.run(command, capture_output=True, text=True, env=home_without_server, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, "no orphans: every live job has a live run\n", "")
    assert not (Path(home_without_server["VERTEX_TRAINING_HOME"]) / "prefect").exists()


def test_without_any_server_the_setting_is_named(home_without_server: dict[str, str]) -> None:
    """Where Prefect may not start one."""
    env = {**home_without_server, "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false"}
    done = subprocess.run([PROGRAM, "orphans"], capture_output=True, text=True, env=env, check=False)

    assert_one_line_error(done.returncode, done.stderr, "PREFECT_API_URL", "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE")


@pytest.fixture
def home_without_server(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a machine with an empty home and Prefect database, and no server in its settings."""
    database = tmp_path / "prefect.db"
    copy_tables(database)
    home = Home(tmp_path / "home")
    yield {**server_environment(database), **REGISTERED, "VERTEX_TRAINING_HOME": str(home.root)}
    lifecycle.stop(home)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.prefect
def test_a_full_disk_is_an_error_with_its_path(
    home: object, project: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Here the disk is full while the image is built."""
    small = Home(small_disk / "home")
    monkeypatch.setenv("VERTEX_TRAINING_HOME", str(small.root))
    (project / "weights.bin").write_bytes(os.urandom(2_000_000))
    try:
        code, out, err = run("run", project, "--json", capsys=capsys)
    finally:
        lifecycle.stop(small)

    assert out == ""
    assert_one_line_error(code, err, "no space left", str(small.root))
    assert not (small.images / "index.json").exists()


def test_a_prefect_server_that_does_not_answer_is_named(project: Path, tmp_path: Path) -> None:
    """In one line, before any step runs; in a process of its own, because Prefect reads its settings once."""
    env = {**os.environ, "PREFECT_API_URL": "http://127.0.0.1:1/api", "VERTEX_TRAINING_HOME": str(tmp_path / "home")}
    done = subprocess.run([PROGRAM, "run", project], capture_output=True, text=True, env=env, check=False)

    assert_one_line_error(done.returncode, done.stderr, "http://127.0.0.1:1/api", "prefect server start")
