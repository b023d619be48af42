"""Content fingerprints, and the lock that lets one run build an image."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.images.build_lock import build_lock
from prefect_vertex_training.images.oci.content_tag import image_fingerprint, image_tag
from prefect_vertex_training.images.oci.reference import TAG

FINGERPRINT = "ab" * 32
FACTS = st.tuples(st.text(), st.text(), st.text(), st.sampled_from(["direct", "docker"]), st.lists(st.text()))


def _fingerprint(facts: tuple[str, str, str, str, list[str]]) -> str:
    project, lock, base, builder, content = facts
    return image_fingerprint(project, lock, base_digest=base, builder=builder, content=content)


@given(FACTS, FACTS)
def test_every_fact_counts(
    one: tuple[str, str, str, str, list[str]], other: tuple[str, str, str, str, list[str]]
) -> None:
    """Two fingerprints are equal only if all facts are; each gives a valid tag."""
    assert (_fingerprint(one) == _fingerprint(other)) == (one == other)
    assert TAG.fullmatch(image_tag(_fingerprint(one)))


def test_one_at_a_time(tmp_path: Path) -> None:
    """The second build of an image waits and is told for which process; that of another image doesn't wait."""
    home = Home(tmp_path)
    told: queue.Queue[str] = queue.Queue()
    waited: list[bool] = []

    def second() -> None:
        with build_lock(FINGERPRINT, home, told.put) as had_to_wait:
            waited.append(had_to_wait)

    with build_lock(FINGERPRINT, home) as had_to_wait:
        assert not had_to_wait
        thread = threading.Thread(target=second)
        thread.start()
        assert told.get(timeout=60).startswith(f"waiting for process {os.getpid()} on ")
        with build_lock("cd" * 32, home) as other_had_to_wait:
            assert not other_had_to_wait
        assert waited == []
    thread.join()

    assert waited == [True]


def test_a_killed_builder_leaves_nothing(tmp_path: Path) -> None:
    """The lock of a killed process is released at once."""
    script = (
        "import sys, time; from pathlib import Path\n"
        "from prefect_vertex_training.core.home import Home\n"
        "from prefect_vertex_training.images.build_lock import build_lock\n"
        "with build_lock(sys.argv[1], Home(Path(sys.argv[2]))):\n"
        "    print('inside', flush=True)\n"
        "    time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script, FINGERPRINT, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.readline()
    process.kill()
    process.wait()

    with build_lock(FINGERPRINT, Home(tmp_path)) as waited:
        assert not waited


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_frees_the_lock(tmp_path: Path, error: type[BaseException]) -> None:
    """The lock is released however a build ends."""
    with pytest.raises(error), build_lock(FINGERPRINT, Home(tmp_path)):
        raise error

    with build_lock(FINGERPRINT, Home(tmp_path)) as waited:
        assert not waited
