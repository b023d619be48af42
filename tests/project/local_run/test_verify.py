import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from fixtures.projects.packages import write_package
from prefect_vertex_training.core.errors import DependencyError, ProjectError, StorageError, VerifyError
from prefect_vertex_training.project.files.listing import list_files
from prefect_vertex_training.project.local_run.processes.process import Ended
from prefect_vertex_training.project.local_run.script_run import Workload
from prefect_vertex_training.project.local_run.verify import VerifyReport, request_key, verify
from prefect_vertex_training.project.local_run.virtualenv import environment
from prefect_vertex_training.project.settings.python_version import this_python
from prefect_vertex_training.project.settings.settings import load

MODEL = """
import os as _os
_os.makedirs(_os.environ["AIP_MODEL_DIR"], exist_ok=True)
open(_os.path.join(_os.environ["AIP_MODEL_DIR"], "model.bin"), "w").close()
"""


@pytest.fixture
def run(make_project, cache):
    """Verifies a project made of `files`; the lines it wrote are in `run.lines`."""

    def start(files, *args, log=None, saves=True, **options) -> VerifyReport:
        files = {"train.py": files} if isinstance(files, str) else dict(files)
        script = "pkg/fit.py" if "pkg/fit.py" in files else "train.py"
        files[script] += MODEL if saves else ""
        root = make_project(files)
        settings = load(root)
        start.lines = []
        start.root = root
        log = log or start.lines.append
        return verify(root, list_files(root, settings), settings, args, cache=cache, log=log, **options)

    return start


def limit(seconds: float) -> dict[str, str]:
    """A pyproject.toml that lets the script run so long."""
    return {"pyproject.toml": f"[tool.vertex-training]\nverify-timeout = {seconds}\n"}


def leftovers(cache: Path) -> list[Path]:
    """What a run left in the cache."""
    return list((cache / "verify").iterdir())


def gone(pid: int) -> bool:
    """Whether a process ends within a minute of its KILL; it may stay a zombie that init has not collected."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.01)
    return False


CLEAN = "installing the frozen dependencies in a clean environment, once for this list"

SAVES = """
import sys
print("args", sys.argv[1:])
print("err", file=sys.stderr)
"""


def test_a_script_that_works_is_reported(run, cache):
    """Its lines arrive in order, its model is listed, nothing is left behind."""
    report = run(SAVES, "--rate", "0.1")

    assert run.lines == [CLEAN, "args ['--rate', '0.1']", "err"]
    assert report.command == ("python", "train.py", "--rate", "0.1")
    assert (report.model_files, report.warnings, report.python) == (("model.bin",), (), this_python())
    assert report.seconds > 0
    assert leftovers(cache) == []


def test_the_users_folder_stays_untouched(run):
    """The script works in a copy: what it writes or changes stays there."""
    script = "open('new.txt', 'w').close(); open('data.txt', 'a').write('more'); import helper"
    run({"train.py": script, "data.txt": "data", "helper.py": ""})

    assert sorted(path.name for path in run.root.iterdir()) == ["data.txt", "helper.py", "train.py"]
    assert (run.root / "data.txt").read_text() == "data"


def test_what_is_not_in_the_image_is_not_there(run):
    """A file that the ignore rules leave out is missing here too, and the message says why."""
    with pytest.raises(VerifyError, match=r'imports helper, which the project\'s ignore rules.*include = \["/helper'):
        run({"train.py": "import helper", "helper.py": "", ".gitignore": "helper.py"})


def test_its_environment_is_that_of_the_cloud(run, monkeypatch):
    """Own variables are set, this machine's are not; a missing one that is set here is told."""
    monkeypatch.setenv("ONLY_HERE", "1")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    table = '[tool.vertex-training]\ndirectories = ["out/plots"]\n[tool.vertex-training.env]\nMODE = "fast"\n'
    script = (
        "import os, sys\n"
        "assert os.environ['MODE'] == 'fast' and '/nowhere' not in sys.path and os.path.isdir('out/plots')\n"
        "assert all(os.environ[f'AIP_{x}'].endswith('/') for x in "
        "('MODEL_DIR', 'CHECKPOINT_DIR', 'TENSORBOARD_LOG_DIR'))\n"
        "os.environ['ONLY_HERE']\n"
    )

    with pytest.raises(VerifyError, match=r"ONLY_HERE, which is set here but not in the cloud \(train\.py:4\)"):
        run({"train.py": script, "pyproject.toml": table})


def test_requirements_are_installed_and_nothing_else(run, wheelhouse):
    """The environment holds the frozen packages; what only this interpreter has is missing, with the fix."""
    wheelhouse.add("tiny", "1.5")
    report = run({"train.py": "import tiny; print(tiny.version)", "requirements.txt": "tiny\n"})

    assert run.lines[-1] == "1.5"
    assert report.python == this_python()
    with pytest.raises(VerifyError, match=r"imports yaml, which requirements\.txt does not list.*Add pyyaml to"):
        run({"train.py": "import yaml", "requirements.txt": "tiny\n"})


def test_an_environment_is_made_once(run, wheelhouse, cache, monkeypatch):
    """The second run with the same requirements starts no uv."""
    wheelhouse.add("once", "1")
    files = {"train.py": "import once", "requirements.txt": "once\n"}
    run(files)
    monkeypatch.setattr(
        "prefect_vertex_training.project.dependencies.uv.run", lambda arguments, **_: pytest.fail(f"uv {arguments}")
    )

    run(files)

    assert not [path for path in (cache / "environments").iterdir() if path.name.startswith(".")]


def test_an_environment_made_twice_at_once_is_whole(wheelhouse, make_project, cache):
    """Runs that need the same environment at the same time all get one that works."""
    wheelhouse.add("race", "1")
    root = make_project({"requirements.txt": "race\n"})
    settings = load(root)

    with ThreadPoolExecutor(4) as pool:
        made = set(pool.map(lambda _: environment(root, settings, cache=cache), range(4)))

    assert len(made) == 1
    subprocess.run([made.pop(), "-c", "import race"], check=True)
    assert not [path for path in (cache / "environments").iterdir() if path.name.startswith(".")]


def test_a_broken_environment_is_made_again(run, wheelhouse, cache):
    """One whose interpreter was removed is noticed."""
    wheelhouse.add("again", "1")
    files = {"train.py": "import again", "requirements.txt": "again\n"}
    run(files)
    for interpreter in (cache / "environments").glob("*/bin/python"):
        interpreter.unlink()

    run(files)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("import sys; sys.exit(3)", r"train\.py failed with exit code 3 \("),
        ("x = 1\ndef f(:\n", r"exit code 1: SyntaxError: .*\(train\.py:2\)"),
        ("def f():\n    raise ValueError('no rows')\nf()", r"exit code 1: ValueError: no rows \(train\.py:2\)"),
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
            r"was killed by SIGKILL: a sign that memory ran out",
        ),
        ("raise SystemExit('no data')", r"exit code 1: no data"),
        ("import argparse; argparse.ArgumentParser().parse_args(['--x'])", r"exit code 2: .*--x.*verify-args"),
        ("import json.nothing", r"imports json\.nothing"),
        ("class MyFailure(Exception): pass\nraise MyFailure('own')", r"__main__\.MyFailure: own|MyFailure: own"),
    ],
)
def test_a_failure_is_one_line(run, cache, script, message):
    """Exit code, reason and place are in the line, the copy's path nowhere."""
    with pytest.raises(VerifyError, match=message) as caught:
        run(script)

    assert "\n" not in str(caught.value)
    assert str(cache) not in f"{caught.value}{caught.value.detail}"
    assert leftovers(cache) == []


def test_the_output_of_a_failure_is_shown_once(run):
    """Its lines were logged as they came, so the error does not repeat them."""
    with pytest.raises(VerifyError) as caught:
        run("for i in range(100): print(i)\nraise SystemExit(1)")

    assert run.lines == [str(number) for number in range(100)]
    assert caught.value.detail is None


def test_a_failure_in_a_module_names_that_module(run):
    """The deepest line of the project's own counts, not one of a library's."""
    with pytest.raises(VerifyError, match=r"\(lib/data\.py:3\)"):
        run({"train.py": "import lib.data", "lib/data.py": "import json\n\njson.loads('{')\n"})


HANGS = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(os.getpid(), child.pid, flush=True)
time.sleep(600)
"""


def test_a_script_that_hangs_is_ended_with_its_children(run, cache):
    """The time limit is in the message with the keys that help; no process stays."""
    with pytest.raises(VerifyError, match=r"did not end within 0\.5 s.*verify-args.*verify-timeout"):
        run({"train.py": HANGS, **limit(0.5)})

    assert all(gone(int(pid)) for pid in run.lines[0].split())
    assert leftovers(cache) == []


def test_a_script_that_ignores_the_signal_is_killed(run, monkeypatch):
    """TERM comes first, KILL ends it."""
    monkeypatch.setattr("prefect_vertex_training.project.local_run.processes.process._GRACE", 0.2)
    script = (
        "import os, signal, time\nsignal.signal(signal.SIGTERM, lambda *_: print('term', flush=True))\n"
        "print(os.getpid(), flush=True)\nwhile True: time.sleep(1)"
    )

    with pytest.raises(VerifyError, match="did not end"):
        run({"train.py": script, **limit(0.5)})

    assert gone(int(run.lines[0]))


class Interrupted(BaseException):
    """As Prefect cancels a task."""


def test_an_interruption_ends_the_script_too(run, cache):
    """Whatever is raised while it runs passes unchanged; its processes and its copy are gone."""
    pids = []

    def log(line: str) -> None:
        pids.extend(int(pid) for pid in line.split())
        raise Interrupted

    with pytest.raises(Interrupted):
        run(HANGS, log=log)

    assert len(pids) == 2
    assert all(gone(pid) for pid in pids)
    assert leftovers(cache) == []


def test_a_signal_handlers_exception_ends_it_too(run, cache):
    """An exception raised by a signal while nothing is written arrives at once."""

    def interrupt(*_: object) -> None:
        raise Interrupted

    previous = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    begin = time.monotonic()
    try:
        with pytest.raises(Interrupted):
            run(HANGS)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)

    assert time.monotonic() - begin < 60
    assert leftovers(cache) == []


def test_a_child_that_stays_does_not_hold_it_up(run):
    """A script that ends well but leaves a process with its output open is not waited for for ever."""
    run(
        "import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\nprint('end')"
    )

    assert run.lines[0] == "end"


def test_odd_output_is_passed_on(run):
    """Bytes that are not UTF-8, progress bars, a line without an end, a line of a megabyte."""
    run(
        "import sys\nwrite = sys.stdout.buffer.write\nwrite(b'caf\\xe9\\n')\nwrite(b'10%\\r50%\\r100%\\n')\n"
        "write(b'x' * 1000000 + b'\\n')\nwrite(b'last')"
    )

    assert run.lines[:2] == ["caf\ufffd", "100%"]
    assert sum(len(line) for line in run.lines if set(line) == {"x"}) == 1_000_000
    assert "last" in run.lines


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("open('model.pkl', 'w')", "saved no model: model.pkl in its working directory would be lost in the cloud"),
        ("pass", "saved no model ("),
        ("import os; os.makedirs(os.environ['AIP_CHECKPOINT_DIR'] + '1')", "saved no model ("),
        (
            "import os; p = os.environ['AIP_CHECKPOINT_DIR']; os.mkdir(p); open(p + '1.ckpt', 'w')",
            "saved no model, only checkpoints/1.ckpt",
        ),
    ],
)
def test_a_model_is_required(run, script, words):
    """A script that leaves none where the cloud looks for it fails here; a variable or a setting is named."""
    with pytest.raises(VerifyError, match=r'AIP_MODEL_DIR|Set outputs = \["model\.pkl"\]') as caught:
        run(script, saves=False)

    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_peak_memory_is_of_the_script_and_its_children(run):
    """What a child takes counts; this process's own memory does not."""
    small = run("import time; time.sleep(0.3)")
    child = "import time; x = b'1' * 150_000_000; time.sleep(2.5)"
    large = run(f"import subprocess, sys\nx = b'1' * 50_000_000\nsubprocess.run([sys.executable, '-c', {child!r}])")

    assert small.peak_memory is not None
    assert large.peak_memory is not None
    assert 1_000_000 < small.peak_memory < 60_000_000
    assert 200_000_000 < large.peak_memory < 300_000_000


HELPED = {
    "train.py": "from options import parse\nprint('epochs', parse().epochs)",
    "options.py": "import argparse\ndef parse():\n    parser = argparse.ArgumentParser()\n"
    "    parser.add_argument('--epochs', type=int, default=90)\n    return parser.parse_args()\n",
}


def test_flags_that_another_module_declares_are_found_by_help(run):
    """The script's own help tells what reading the script doesn't; what it prints is no part of the run's lines."""
    report = run(HELPED)

    assert run.lines == ["added to the arguments, for a small run: --epochs 1", "epochs 1"]
    assert report.command == ("python", "train.py", "--epochs", "1")


def test_a_script_without_arguments_is_run_once(run):
    """It would take a question for help as a run; one whose help fails is run as it is."""
    run("print('ran')")
    once = list(run.lines)
    run({**HELPED, "train.py": "import options, sys\nprint(len(sys.argv))\nassert len(sys.argv) == 1"})

    assert once == ["ran"]
    assert run.lines == ["1"]


def venv(folder: Path, **packages: str) -> Path:
    """An environment with this Python in which packages seem to be installed."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    for name, version in packages.items():
        site = next(folder.glob("lib/python3.*/site-packages"))
        (site / f"{name}-{version}.dist-info").mkdir()
        (site / f"{name}.py").write_text("where = 'the project'\n")
    return folder


def test_the_users_own_python_runs_it_if_it_has_the_requirements(run, make_project, monkeypatch, wheelhouse):
    """The project's environment is taken as it is; one without a requirement is told, and a clean one made."""
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    wheelhouse.add("tiny", "2", body="where = 'clean'")
    venv(make_project() / ".venv", tiny="1.5")
    files = {"train.py": "import tiny; print(tiny.where)", "requirements.txt": "tiny\n"}
    own = run(files)
    lines = list(run.lines)
    newer = run({**files, "requirements.txt": "tiny>=2\n"})

    assert (lines, own.interpreter) == (["the project"], str(run.root / ".venv/bin/python"))
    assert newer.interpreter == "a clean environment"
    assert re.search(r"/\.venv/bin/python has tiny 1\.5, and requirements\.txt:1 wants >=2: running in", run.lines[0])
    assert run.lines[1:] == [CLEAN, "clean"]


def test_a_package_in_a_folder_counts_as_a_requirement(run, make_project, monkeypatch, wheelhouse):
    """Where it isn't installed, a clean environment is made, with its wheel."""
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    monkeypatch.delenv("CONDA_PREFIX", raising=False)
    root = make_project()
    write_package(root / "libs" / "feats", "feats", "0.3", body="where = 'clean'")
    environment = venv(root / ".venv", other="1")
    files = {"train.py": "import feats; print(feats.where)", "requirements.txt": "-e ./libs/feats\n"}
    first = run(files)
    lines = list(run.lines)
    shutil.rmtree(environment)
    venv(environment, feats="0.3")

    assert (lines[-1], first.interpreter) == ("clean", "a clean environment")
    assert run(files).interpreter == str(environment / "bin/python")


def test_what_only_the_users_own_python_has_is_a_warning(run, make_project, monkeypatch):
    """It would be missing in the image; what a listed package needs, and what is optional, is not told."""
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    environment = venv(make_project() / ".venv", tiny="1.5", low="1", forgotten="1", optional="1", deep="1")
    site = next(environment.glob("lib/python3.*/site-packages"))
    for name in ("tiny", "low", "forgotten", "optional", "deep"):
        info = next(site.glob(f"{name}-*.dist-info"))
        needs = "Requires-Dist: low\n" if name == "tiny" else ""
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n{needs}")
        (info / "RECORD").write_text(f"{name}.py,,\n")
    script = "import json, tiny, low, forgotten, lib.data\ntry:\n    import optional\nexcept ImportError:\n    pass\n"
    files = {"train.py": script, "lib/__init__.py": "", "lib/data.py": "from deep import where\n"}
    report = run({**files, "requirements.txt": "tiny\n"})

    assert [warning.partition(",")[0] for warning in report.warnings] == [
        "the script imports deep",
        "the script imports forgotten",
    ]
    assert report.warnings[0].endswith("add deep to it")
    assert run({**files, "requirements.txt": "tiny\nforgotten\ndeep\n"}).warnings == ()


def test_locked_runs_in_what_the_frozen_list_brings(run, make_project, monkeypatch, wheelhouse):
    """`verify = "locked"` shows that nothing is missing, though the user's own Python has it."""
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    wheelhouse.add("tiny", "1.5")
    venv(make_project() / ".venv", tiny="1.5", forgotten="1")
    files = {"train.py": "import tiny, forgotten", "requirements.txt": "tiny\n"}
    locked = {**files, "pyproject.toml": '[tool.vertex-training]\nverify = "locked"\n'}
    run(files)

    with pytest.raises(VerifyError, match=r"imports forgotten, which requirements\.txt does not list"):
        run(locked)


CONDA = "name: vision\ndependencies:\n  - python=3.11\n  - tiny=1.5\n"


def test_a_conda_project_runs_in_its_activated_environment(run, tmp_path, monkeypatch):
    """Without it the way out is told: activate it, or translate the list."""
    conda = venv(tmp_path / "conda", tiny="1.5")
    files = {"train.py": "import tiny; print(tiny.where)", "environment.yml": CONDA.replace("3.11", this_python())}
    monkeypatch.delenv("CONDA_PREFIX", raising=False)
    with pytest.raises(DependencyError, match=r"environment\.yml needs conda.*conda activate vision.*--translate"):
        run(files)

    monkeypatch.setenv("CONDA_PREFIX", str(conda))
    report = run(files)

    assert (run.lines, report.interpreter) == (["the project"], str(conda / "bin/python"))


def test_a_translated_conda_project_needs_no_conda(run, wheelhouse, monkeypatch):
    """The list becomes pip's, here as in the image; the Python is the one that the file names."""
    monkeypatch.delenv("CONDA_PREFIX", raising=False)
    wheelhouse.add("tiny", "1.5", body="where = 'clean'")
    table = "[tool.vertex-training]\ntranslate = true\n"
    text = CONDA.replace("3.11", this_python())
    report = run({"train.py": "import tiny; print(tiny.where)", "environment.yml": text, "pyproject.toml": table})

    assert (run.lines[-1], report.interpreter) == ("clean", "a clean environment")
    assert load(run.root).python == this_python()


def test_what_decides_the_answer_is_in_its_key(make_project, monkeypatch):
    """Other arguments, another mode, another package in the user's Python: each is another question."""
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    root = make_project({"requirements.txt": "tiny\n"})
    venv(root / ".venv", tiny="1.5")
    settings = load(root)

    def key(args=(), **changes):
        return request_key(root, replace(settings, **changes), args)

    first = key()
    keys = [key(["--x"]), key(verify="locked"), key(verify_args=("1",)), key(python="3.12")]
    again = key()
    (next((root / ".venv").glob("lib/python3.*/site-packages")) / "more-1.dist-info").mkdir()

    assert again == first
    assert len({first, *keys, key()}) == 6


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"data/x.csv": "", ".gitignore": "data/\n"}, r"reads data/x\.csv, which the project's ignore rules leave out"),
        ({"../data/x.csv": ""}, r"reads \.\./data/x\.csv, which is outside the project.*bucket"),
        ({}, r"it reads nowhere\.csv, which is not in the project.*Put nowhere\.csv into the project"),
    ],
)
def test_a_file_that_stays_behind_is_told(run, files, message):
    """A data file that lies here but doesn't travel is told from one that is nowhere."""
    path = next(iter(files), "nowhere.csv")

    with pytest.raises(VerifyError, match=message):
        run({"train.py": f"open({path!r})", **files})


def test_paths_of_this_machine_are_a_warning(run, tmp_path, monkeypatch):
    """A script that uses them works here and would fail in the cloud."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    home = Path.home() / "data"
    home.mkdir(parents=True)
    system = "/lib"
    script = f"{SAVES}\nimport os; os.stat('{system}')\nopen('/dev/null').close()\nx = '/' * 10000\n"
    report = run(script, f"--data={home}", "--out", "/tmp", "--rate", "1")

    assert report.warnings == (
        f"{system} is on this machine only: put it into the project or a bucket",
        f"{home} is on this machine only: put it into the project or a bucket",
    )


def test_a_relative_import_runs_as_a_module_in_a_package_only(run):
    """A package's script with relative imports is run by its module's name; one outside a package gets a fix."""
    table = '[tool.vertex-training]\nscript = "pkg/fit.py"\n'
    files = {"pkg/__init__.py": "", "pkg/data.py": "x = 1", "pyproject.toml": table}

    report = run({"pkg/fit.py": "from .data import x", **files})
    assert report.command == ("python", "-m", "pkg.fit")

    with pytest.raises(VerifyError, match=r"relative import.*\(train\.py:1\)\. Import by the package's name"):
        run({"train.py": "from .data import x", "data.py": "x = 1", "pyproject.toml": ""})


def test_a_python_that_is_not_here_is_told(run, tmp_path, make_project, monkeypatch):
    """The version and both ways out are named."""
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
    monkeypatch.setenv("UV_PYTHON_PREFERENCE", "only-managed")
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(tmp_path / "none"))

    with pytest.raises(ProjectError, match=r"Python 3\.98 is not on this machine.*Install Python 3\.98.*MIRROR"):
        run({"train.py": "", "pyproject.toml": '[tool.vertex-training]\npython = "3.98"\n'})


def test_a_full_disk_is_told_and_leaves_nothing(run, cache, monkeypatch):
    """The place is named, and the half-made copy is gone."""

    def full(source: Path, target: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", target)

    monkeypatch.setattr("shutil.copyfile", full)

    with pytest.raises(StorageError, match=r"can't write: no space left on device.*VERTEX_TRAINING_HOME"):
        run("pass")
    assert leftovers(cache) == []


def test_what_killed_runs_left_goes_a_day_later(run, cache):
    """A run that was killed could not clean up; a later one does."""
    old, new = cache / "verify" / "old", cache / "verify" / "new"
    for folder in (old, new):
        (folder / "project").mkdir(parents=True)
    os.utime(old, (1, 1))

    run("pass")

    assert leftovers(cache) == [new]
    shutil.rmtree(new)


def test_executable_bits_and_links_arrive(run):
    """A helper script can be run; a linked file is a file."""
    script = "import os, subprocess\nsubprocess.run(['./run.sh'], check=True)\nassert not os.path.islink('link.txt')"
    run({"train.py": "", "run.sh": "#!/bin/sh\necho ran\n", "real.txt": "1"})
    (run.root / "run.sh").chmod(0o755)
    (run.root / "link.txt").symlink_to("real.txt")

    run({"train.py": script})

    assert "ran" in run.lines


def test_a_run_in_the_project_s_image(make_project, cache):
    """The image gets the variables and arguments with folders that exist, and nothing of this machine."""
    root = make_project({"train.py": "import argparse\nargparse.ArgumentParser().add_argument('--epochs')\n"})
    table = '[tool.vertex-training]\nverify = "image"\noutputs = ["out/*.pt"]\n'
    (root / "pyproject.toml").write_text(table)
    seen: list[Workload] = []

    def in_image(work: Workload, log) -> Ended:
        seen.append(work)
        log("in the image")
        (work.changed / "out").mkdir(parents=True)
        (work.changed / "out/a.pt").write_text("trained")
        return Ended(0, 1.0, ("in the image",))

    lines: list[str] = []
    settings = load(root)
    args = ["--dir", "{model-dir}"]
    report = verify(root, list_files(root, settings), settings, args, cache=cache, log=lines.append, in_image=in_image)

    (work,) = seen
    assert work.args == ("--dir", f"{work.outputs}/model", "--epochs", "1")
    assert work.env["AIP_MODEL_DIR"] == f"{work.outputs}/model/"
    assert not {"PATH", "HOME", "VIRTUAL_ENV"} & set(work.env)
    assert (report.model_files, report.interpreter) == (("out/a.pt",), "the project's image")
    assert lines[-1] == "in the image"


def test_a_module_that_the_image_lacks(make_project, cache):
    """It has to be installed in the Dockerfile, whatever a list says."""
    root = make_project({"train.py": "", "requirements.txt": "", "Dockerfile": "FROM b"})
    settings = replace(load(root), verify="image")
    error = "ModuleNotFoundError: No module named 'sklearn'"

    with pytest.raises(
        VerifyError, match=r"sklearn, which the image does not have.*Install scikit-learn in the Docker"
    ):
        verify(
            root, list_files(root, settings), settings, [], cache=cache, log=print,
            in_image=lambda *_: Ended(1, 1.0, (error,)),
        )  # fmt: skip
