"""Copies that fail, are killed, or happen twice."""

from __future__ import annotations

import resource
import shutil
import signal
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect_vertex_training.runtime.output_copy import LISTING, OutputCopy
from prefect_vertex_training.runtime.output_files import Output

BIG = 64 << 20
SAVE = "import os; os.makedirs('out', exist_ok=True); open('out/a.pt', 'w').write('A');"


def test_running_again_gives_the_same_result(job, files) -> None:
    """A second start in the same container: the first one's files are not taken as part of the image."""
    script = f"import os; os.path.exists('out/a.pt') or exec({SAVE!r});"

    first = job.run(f"{script} exit(1)")
    second = job.run(script)

    assert (first[0], second[0]) == (1, 0)
    assert files(job.model) == {"out/a.pt": "A"}
    assert not job.partial.exists()


def test_what_an_earlier_attempt_copied_is_replaced(job, files) -> None:
    """Names that an attempt makes up don't pile up; what the script itself saved in the model's folder stays."""
    own = f"os.makedirs({str(job.model)!r}, exist_ok=True); open({str(job.model / 'own.txt')!r}, 'w').write('own');"
    stamp = "import os, time; os.makedirs('out', exist_ok=True); open(f'out/{time.time_ns()}.pt', 'w').write('A');"

    for status in (1, 1, 0, 0):
        for old in (job.work / "out").glob("*"):
            old.unlink()
        assert job.run(f"{stamp} {own} exit({status})")[0] == status

    assert sorted(files(job.model).values()) == ["A", "own"]
    assert sorted(path.name for path in job.output.iterdir()) == ["model", LISTING]


@pytest.mark.parametrize("moment", ["listing", "first copy", "unfinished"])
def test_killed_in_the_middle_of_the_copy(job, moment: str) -> None:
    """Killed and started again, the result is that of one run; no half file has a file's name."""
    save = f"import os; os.makedirs('out', exist_ok=True); [open(f'out/{{n}}', 'wb').truncate({BIG}) for n in range(6)]"
    listing = job.output / LISTING
    reached = {
        "listing": lambda: listing.exists() and "out/5" in listing.read_text(),
        "first copy": (job.model / "out/0").exists,
        "unfinished": lambda: any(job.model.rglob("*.unfinished")),
    }[moment]

    with job.start(save) as process:
        end = time.monotonic() + 60
        while process.poll() is None and not reached() and time.monotonic() < end:
            pass
        process.kill()
    assert {path.stat().st_size for path in job.model.rglob("[0-9]")} <= {BIG}

    assert job.run(save)[0] == 0
    sizes = {path.relative_to(job.model).as_posix(): path.stat().st_size for path in job.model.rglob("*.*")}
    assert sizes == {}
    assert {path.name: path.stat().st_size for path in (job.model / "out").iterdir()} == {str(n): BIG for n in range(6)}


def test_a_place_that_can_not_be_written_stops_before_the_script(job) -> None:
    """Hours of training must not end with a folder that can't be written."""
    job.output.parent.mkdir(parents=True)
    job.output.write_text("a file")

    status, _, err = job.run(SAVE)

    assert status == 1
    assert f"vertex-training: outputs: can't write {job.output}/outputs.json: " in err
    assert not (job.work / "out").exists()


def test_a_copy_that_fails_fails_the_job(job) -> None:
    """A place that can't be written after the script has succeeded: the job fails and names file, place and reason."""
    status, _, err = job.run(f"{SAVE} open({str(job.model)!r}, 'w').close()")

    assert status == 1
    assert f"can't copy out/a.pt to {job.model}/out/a.pt: " in err


def test_a_full_disk(job, files) -> None:
    """The job fails, the message says why, and no half file is left; the next attempt can succeed."""
    limit = 1 << 20

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    script = (
        f"{SAVE} import resource;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY));"
        f"open('out/b.pt', 'wb').write(bytes({2 * limit}))"
    )
    status, _, err = job.run(script, preexec_fn=small_files)

    assert status == 1
    assert f"can't copy out/b.pt to {job.model}/out/b.pt: File too large" in err
    assert files(job.model) == {"out/a.pt": "A"}

    assert job.run("import os; os.unlink('out/b.pt')")[0] == 0
    assert files(job.model) == {"out/a.pt": "A"}


def test_a_partial_copy_that_fails_keeps_the_status(job) -> None:
    """The script's own failure is what the job reports; the failed copy is said."""
    status, _, err = job.run(f"{SAVE} open({str(job.partial)!r}, 'w').close(); exit(7)")

    assert status == 7
    assert "can't copy out/a.pt" in err


def test_a_signal_during_the_copy_does_not_stop_it(job) -> None:
    """The script has succeeded: a stop that comes later must not leave half a model."""
    save = f"import os; os.makedirs('out'); [open(f'out/{{n}}', 'wb').truncate({BIG}) for n in range(4)]"
    with job.start(save) as process:
        end = time.monotonic() + 60
        while process.poll() is None and not job.model.exists() and time.monotonic() < end:
            pass
        process.send_signal(signal.SIGTERM)

    assert process.returncode == 0
    assert sorted(path.name for path in (job.model / "out").iterdir()) == ["0", "1", "2", "3"]


TEXTS = st.text("xy", max_size=3)
ATTEMPTS = st.lists(
    st.tuples(st.booleans(), st.dictionaries(st.sampled_from(["a", "b", "d/a", "d/e/a"]), TEXTS)), max_size=4
)


@given(attempts=ATTEMPTS, last=st.dictionaries(st.sampled_from(["a", "c", "d/a"]), TEXTS))
def test_the_last_attempt_alone_decides(
    tmp_path: Path, files, attempts: list[tuple[bool, dict[str, str]]], last: dict[str, str]
) -> None:
    """Whatever attempts came before, the result of one that succeeds is that of it alone."""
    output, source = tmp_path / "run", tmp_path / "source"
    shutil.rmtree(output, ignore_errors=True)
    for number, (succeeded, outputs) in enumerate([*attempts, (True, last)]):
        shutil.rmtree(source, ignore_errors=True)
        for name, text in outputs.items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_text(text)
        copy = OutputCopy(str(output / "model"), time.time() + number + 1)
        (copy.save if succeeded else copy.save_partial)([Output(name, str(source / name)) for name in sorted(outputs)])

    assert files(output / "model") == dict(sorted(last.items()))
    assert files(output / "partial") == {}
