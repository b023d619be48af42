import re
import tomllib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import quote, unquote

import pytest
from prefect_vertex_training.core.errors import DependencyError
from prefect_vertex_training.project.dependencies import freeze as module
from prefect_vertex_training.project.dependencies.find_list import read
from prefect_vertex_training.project.dependencies.formats.requirements_txt import Line
from prefect_vertex_training.project.dependencies.freeze import freeze
from prefect_vertex_training.project.dependencies.resolver_errors import explain
from prefect_vertex_training.project.settings.python_version import this_python
from prefect_vertex_training.project.settings.settings import load


def lock(root, cache, **options):
    """Freezes the project in `root`."""
    return freeze(root, load(root), cache=cache, **options)


def test_dependencies_of_dependencies_are_frozen_with_hashes(make_project, wheelhouse, tmp_path):
    """Every package has its version, wheel and sha256; the newest that fits wins."""
    wheelhouse.add("top", "1.0", requires=["low>=1"])
    for version in ("0.9", "1.1", "1.2"):
        wheelhouse.add("low", version)
    root = make_project({"requirements.txt": "top\n-c limits.txt\n", "limits.txt": "low<1.2\n"})

    frozen = lock(root, tmp_path / "cache")

    assert frozen.packages == (("low", "1.1"), ("top", "1.0"))
    packages = tomllib.loads(frozen.text)["packages"]
    assert all(len(wheel["hashes"]["sha256"]) == 64 for package in packages for wheel in package["wheels"])
    assert frozen.python == this_python()


def test_no_requirements_is_an_empty_lock(make_project, tmp_path):
    """A script without dependencies freezes to nothing, without uv."""
    frozen = lock(make_project(), tmp_path)

    assert (frozen.text, frozen.packages) == ("", ())


def test_the_place_of_the_project_does_not_show(make_project, wheelhouse, tmp_path):
    """A copy elsewhere freezes to the same text, also with wheels inside the project."""
    wheelhouse.add("outer", "1")
    texts = []
    for name in ("one", "two"):
        root = make_project({"requirements.txt": "--find-links ./wheels\nouter\ninner\n"}, name=name)
        (root / "wheels").mkdir()
        wheelhouse.add("inner", "2").rename(root / "wheels" / "inner-2-py3-none-any.whl")
        texts.append(lock(root, tmp_path / f"cache-{name}").text)

    assert texts[0] == texts[1]
    assert str(root) not in texts[0]
    assert 'path = "wheels/inner-2-py3-none-any.whl"' in texts[0]


def test_the_answer_stays_until_it_is_refreshed(make_project, wheelhouse, tmp_path):
    """A new release in the index doesn't move a frozen project; changed requirements or `refresh` do."""
    index = tmp_path / "index"
    index.mkdir()
    first = wheelhouse.add("pkg", "1")
    root = make_project({"requirements.txt": f"--find-links {first.as_uri().rpartition('/')[0]}/\npkg\n"})
    before = lock(root, tmp_path / "cache")
    # The listing of a local folder is part of the question; an index on the network is not: simulate the latter.
    known = next((tmp_path / "cache" / "locks").glob("*.toml"))
    wheelhouse.add("pkg", "2")
    after = lock(root, tmp_path / "cache")

    assert before.packages == (("pkg", "1"),)
    assert after.packages == (("pkg", "2"),)  # a wheel put into a local folder is seen
    known.touch()
    assert lock(root, tmp_path / "cache", refresh=True) == after


def test_a_known_answer_needs_no_uv(make_project, wheelhouse, tmp_path, monkeypatch):
    """The second freeze of the same requirements runs no program."""
    wheelhouse.add("pkg", "1")
    root = make_project({"requirements.txt": "pkg\n"})
    first = lock(root, tmp_path / "cache")
    monkeypatch.setattr(module.uv, "run", lambda *_, **__: pytest.fail("uv was run"))

    assert lock(root, tmp_path / "cache") == first


@pytest.mark.parametrize("damage", ["", "[[packages]]\nname = 3\n", "{", 'packages = "x"'])
def test_a_damaged_answer_is_resolved_again(make_project, wheelhouse, tmp_path, damage):
    """A cache that was cut off or edited never becomes a lock."""
    wheelhouse.add("pkg", "1")
    root = make_project({"requirements.txt": "pkg\n"})
    first = lock(root, tmp_path / "cache")
    for store in (tmp_path / "cache" / "locks").iterdir():
        store.write_text(damage)

    assert lock(root, tmp_path / "cache") == first


def test_the_digest_is_of_what_gets_installed(make_project, wheelhouse, tmp_path):
    """The same wheels from another place give the same digest; other bytes don't."""
    wheelhouse.add("pkg", "1")
    root = make_project({"requirements.txt": "pkg\n"})
    first = lock(root, tmp_path / "cache")
    moved = wheelhouse.folder.rename(tmp_path / "moved")
    (root / "requirements.txt").write_text(f"--find-links {moved}\npkg\n")
    second = lock(root, tmp_path / "cache")
    wheelhouse.folder = moved
    wheelhouse.add("pkg", "1", body="changed = True\n")
    third = lock(root, tmp_path / "cache", refresh=True)

    assert first.text != second.text
    assert first.digest == second.digest
    assert second.digest != third.digest


def test_it_resolves_for_linux_whatever_runs_here(make_project, wheelhouse, tmp_path):
    """Markers and wheels are those of linux/amd64 and the image's Python."""
    wheelhouse.add("pkg", "1", tag="cp312-cp312-manylinux_2_17_x86_64")
    wheelhouse.add("pkg", "2", tag="cp312-cp312-macosx_11_0_arm64")
    wheelhouse.add("mac", "1")
    root = make_project(
        {
            "requirements.txt": "pkg\nmac; sys_platform == 'darwin'\n",
            "pyproject.toml": '[tool.vertex-training]\npython = "3.12"\n',
        }
    )

    frozen = lock(root, tmp_path / "cache")

    assert (frozen.packages, frozen.python) == ((("pkg", "1"),), "3.12")


@pytest.mark.parametrize(
    ("requirement", "words"),
    [
        ("nosuch>=1", ["there is no package nosuch"]),
        ("pkg==9", ["there is no version pkg==9"]),
        ("maconly", ["maconly 1 has no wheel for linux/amd64", "macosx_11_0_arm64", "sys_platform == 'darwin'"]),
        ("oldpython", [f"oldpython 1 has no wheel for Python {this_python()}", "cp37"]),
        ("needy", ["there is no package missing, which needy needs"]),
        ("wants-mac", ["maconly 1 has no wheel for linux/amd64", "which wants-mac needs"]),
    ],
)
def test_what_cannot_be_frozen_is_named_with_its_line(make_project, wheelhouse, tmp_path, requirement, words):
    """The package, what wanted it, the file and the line; all of uv's words in the detail."""
    wheelhouse.add("pkg", "1")
    wheelhouse.add("needy", "1", requires=["missing"])
    wheelhouse.add("wants_mac", "1", requires=["maconly"])
    wheelhouse.add("maconly", "1", tag="cp311-cp311-macosx_11_0_arm64".replace("cp311", _tag()))
    wheelhouse.add("oldpython", "1", tag="cp37-cp37m-manylinux_2_17_x86_64")
    root = make_project({"requirements.txt": f"# line 1\n{requirement}\n"})

    with pytest.raises(DependencyError) as caught:
        lock(root, tmp_path / "cache")

    for word in [*words, "requirements.txt:2"]:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "No solution found" in str(caught.value.detail)
    assert not caught.value.transient
    assert not list((tmp_path / "cache").rglob("*.toml"))


def _tag() -> str:
    return f"cp{this_python().replace('.', '')}"


def test_requirements_that_contradict_each_other(make_project, wheelhouse, tmp_path):
    """Both lines are named."""
    wheelhouse.add("low", "1")
    wheelhouse.add("low", "2")
    wheelhouse.add("top", "1", requires=["low==2"])
    root = make_project({"requirements.txt": "top\nlow==1\n"})

    with pytest.raises(DependencyError, match=r"contradict.*requirements\.txt:1, requirements\.txt:2"):
        lock(root, tmp_path / "cache")


def test_two_pins_that_contradict_each_other(make_project, wheelhouse, tmp_path):
    """The same package at two versions, as two merged lists have it: both lines are named."""
    for version in ("1", "2"):
        wheelhouse.add("low", version)
    root = make_project({"requirements.txt": "low==1\n-r more.txt\n", "more.txt": "\nlow==2\n"})

    with pytest.raises(DependencyError, match=r"contradict each other: .*low==1 and low==2.*txt:1, more\.txt:2"):
        lock(root, tmp_path / "cache")


@pytest.mark.parametrize("case", ["macos-arm64", "windows"])
def test_a_list_of_another_machine_is_proven_for_linux(make_project, wheelhouse, tmp_path, case):
    """What a Mac and a Windows machine froze resolves to wheels with hashes, without what is theirs alone."""
    recorded = (Path(__file__).parent / "freezes" / case / "requirements.txt").read_bytes()
    root = make_project({"requirements.txt": recorded})
    listed = read(root, load(root)).lines
    for line in listed:
        name, version = line.text.split("==")
        wheelhouse.add(name.replace("-", "_"), version, tag=f"{_tag()}-{_tag()}-manylinux_2_17_x86_64")
    if case == "macos-arm64":
        wheelhouse.add("tensorflow", "2.15.0")
    frozen = lock(root, tmp_path / "cache")

    names = dict(frozen.packages)
    assert names["tensorflow"] == "2.15.0"
    gone = {line.name for line in listed} - names.keys()
    assert gone == {entry.line.partition("==")[0].lower() for entry in frozen.changes}
    assert {"macos-arm64": "pyobjc-core", "windows": "pywin32"}[case] in gone
    wheels = [wheel for package in tomllib.loads(frozen.text)["packages"] for wheel in package["wheels"]]
    assert len(wheels) == len(names)
    assert all(len(wheel["hashes"]["sha256"]) == 64 for wheel in wheels)


class Index(ThreadingHTTPServer):
    """A package index that lists a folder of wheels; https://peps.python.org/pep-0503/."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), self._handler(folder))
        self.url = f"http://127.0.0.1:{self.server_port}/whl"
        Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @staticmethod
    def _handler(folder: Path) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                kind, name = self.path.strip("/").split("/")[1:3]
                if name.endswith(".whl"):
                    return self._answer((folder / unquote(name)).read_bytes(), "application/zip")
                wheels = folder.glob(f"{name}-*+{kind}-*.whl")
                links = "".join(f'<a href="../{quote(wheel.name)}">{wheel.name}</a>' for wheel in wheels)
                return self._answer(links.encode(), "text/html")

            def _answer(self, body: bytes, kind: str) -> None:
                self.send_response(200 if body else 404)
                self.send_header("Content-Type", kind)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


@pytest.fixture
def torch_index(tmp_path, wheelhouse, monkeypatch):
    """An index of PyTorch's kind in the place of PyTorch's own; else only the wheelhouse can be asked."""
    folder = tmp_path / "torch"
    folder.mkdir()
    index = Index(folder)
    monkeypatch.setattr("prefect_vertex_training.project.dependencies.accelerators._TORCH_INDEX", index.url)
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", f"{index.url}/none")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    for kind in ("cu121", "cpu"):
        wheelhouse.add("torch", f"2.1.0+{kind}", requires=["low"]).rename(
            folder / f"torch-2.1.0+{kind}-py3-none-any.whl"
        )
    yield index
    index.shutdown()
    index.server_close()


def test_a_wheel_is_taken_from_the_url_that_names_it(make_project, wheelhouse, torch_index, tmp_path):
    """Models of spaCy and builds of PyTorch are listed so, and no index has them."""
    wheelhouse.add("en_model", "3.7").rename(tmp_path / "torch/en_model-3.7-py3-none-any.whl")
    wheelhouse.add("plain", "1").rename(tmp_path / "torch/plain-1-py3-none-any.whl")
    url = f"{torch_index.url}/files"
    listed = f"en-model @ {url}/en_model-3.7-py3-none-any.whl\n{url}/plain-1-py3-none-any.whl\n"
    frozen = lock(make_project({"requirements.txt": listed}), tmp_path / "cache")

    assert frozen.packages == (("en-model", "3.7"), ("plain", "1"))
    assert frozen.changes == ()
    assert f"{url}/en_model-3.7-py3-none-any.whl" in frozen.text


def test_a_url_that_is_not_reached_is_named_with_its_line(make_project, torch_index, tmp_path, monkeypatch):
    """It is no fault of the package index."""
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    url = "http://models.invalid/en_model-3.7-py3-none-any.whl"
    root = make_project({"requirements.txt": f"# models\nen-model @ {url}\n"})

    with pytest.raises(
        DependencyError, match=r"can't download en_model-3\.7\S+ from models\.invalid \(requirements.txt:2"
    ):
        lock(root, tmp_path / "cache")


def test_the_index_that_has_a_cuda_build_is_asked(make_project, wheelhouse, torch_index, tmp_path):
    """`torch==X+cu121` alone is enough: its own index is added, other packages come from where they always do."""
    wheelhouse.add("low", "1")
    root = make_project({"requirements.txt": "torch==2.1.0+cu121\n"})
    frozen = lock(root, tmp_path / "cache")

    assert frozen.packages == (("low", "1"), ("torch", "2.1.0+cu121"))
    assert [str(entry) for entry in frozen.changes] == [
        f"--extra-index-url {torch_index.url}/cu121 (requirements.txt) added: torch==2.1.0+cu121 is only there"
    ]


def test_a_cpu_build_that_an_index_gives_stops_a_gpu_job(make_project, wheelhouse, torch_index, tmp_path):
    """No line says +cpu, but the index that it names has nothing else; the same list serves a job without GPU."""
    wheelhouse.add("low", "1")
    files = {"requirements.txt": f"--extra-index-url {torch_index.url}/cpu\ntorch\n"}
    gpu = '[tool.vertex-training]\naccelerator-type = "NVIDIA_L4"\naccelerator-count = 1\n'

    assert dict(lock(make_project(files), tmp_path / "cache").packages)["torch"] == "2.1.0+cpu"
    with pytest.raises(
        DependencyError, match=r"torch is a CPU-only build.*Write torch==2\.1\.0 instead, and delete --ex"
    ):
        lock(make_project({**files, "pyproject.toml": gpu}, name="gpu"), tmp_path / "cache")


@pytest.mark.parametrize(
    ("packages", "settings", "replacement"),
    [
        ({"jax": "0.4.30", "jaxlib": "0.4.30"}, "", "jax[cuda12]==0.4.30"),
        ({"jax": "0.4.30", "jaxlib": "0.4.30", "jax_cuda12_plugin": "0.4.30"}, "", None),
        ({"jax": "0.4.20", "jaxlib": "0.4.20+cuda12.cudnn89"}, "", None),
        ({"tensorflow": "2.16.1"}, "", "tensorflow[and-cuda]==2.16.1"),
        ({"tensorflow": "2.16.1", "nvidia_cudnn_cu12": "8.9.7.29"}, "", None),
        ({"tensorflow": "2.16.1"}, 'base = "example.com/with-cuda:1"\n', None),
        ({"tensorflow": "2.12.0"}, "", None),
        ({"torch": "2.1.0"}, "", None),
        ({"scikit_learn": "1.5"}, "", None),
    ],
)
def test_frameworks_without_cuda_stop_a_gpu_job(make_project, wheelhouse, tmp_path, packages, settings, replacement):
    """Their plain packages run on CPUs unless CUDA's libraries come as packages or with a base image."""
    for name, version in packages.items():
        wheelhouse.add(name, version)
    table = f'[tool.vertex-training]\nmachine-type = "g2-standard-4"\n{settings}'
    listed = "--find-links ./jax-releases\n" + "".join(f"{name}=={version}\n" for name, version in packages.items())
    root = make_project({"requirements.txt": listed, "pyproject.toml": table, "jax-releases/none": ""})

    if replacement is None:
        assert len(lock(root, tmp_path / "cache").packages) == len(packages)
    else:
        with pytest.raises(DependencyError, match=rf"CPU-only.*g2-standard-4.*Write {re.escape(replacement)} instead"):
            lock(root, tmp_path / "cache")


def test_what_is_worth_knowing_of_builds_is_a_note(make_project, wheelhouse, tmp_path):
    """A job without GPU that carries CUDA along, and a TensorFlow that finds CUDA in the base only."""
    wheelhouse.add("torch", "2.1.0")
    wheelhouse.add("tensorflow", "2.12.0")
    root = make_project({"requirements.txt": "torch\n"})
    gpu = '[tool.vertex-training]\nmachine-type = "g2-standard-4"\n'
    other = make_project({"requirements.txt": "tensorflow\n", "pyproject.toml": gpu}, name="gpu")

    assert "torch==2.1.0+cpu is smaller" in lock(root, tmp_path / "cache").notes[0]
    assert "finds CUDA only in the base image" in lock(other, tmp_path / "cache").notes[0]


def test_an_index_out_of_reach_is_transient(make_project, wheelhouse, tmp_path, monkeypatch):
    """Trying again can help; the host is named without the password in its URL."""
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:hunter2@127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    root = make_project({"requirements.txt": "some-package\n"})

    with pytest.raises(DependencyError, match=r"can't reach the package index \(127\.0\.0\.1:9\)") as caught:
        lock(root, tmp_path / "cache")

    assert caught.value.transient
    assert "hunter2" not in f"{caught.value}{caught.value.detail}"


@pytest.mark.parametrize(
    ("method", "step"),
    [
        ("requirements.txt", "if that index is gone, name another one there"),
        ("uv.lock", "if that index is gone, name another one in pyproject.toml and run uv lock"),
    ],
)
def test_an_index_of_the_list_that_is_gone_is_the_lists(method, step):
    """What names it is said, and how it gets another one; an index of the settings is theirs."""
    output = "error: error sending request for url (https://gone.example/simple/six/)"

    error = explain(output, (), "3.11", ["--extra-index-url https://user:key@gone.example/simple"], method)
    other = explain(output, (), "3.11", ["--extra-index-url https://here.example/simple"], method)

    assert str(error) == f"can't reach the package index that {method} names (gone.example). Check the network; {step}"
    assert "pip's or uv's settings" in str(other)


LINES = (Line("requirements.txt", 1, "demo>=1", "demo"), Line("requirements.txt", 2, "torch==2.1.0+cu121", "torch"))


MISSING = """error: No solution found when resolving dependencies
  cause: Because demo was not found in the package registry and you
         require demo>=1, we can conclude that your requirements are unsatisfiable."""
NO_VERSION = """error: No solution found when resolving dependencies
  cause: Because there is no version of torch==2.1.0+cu121 and you require torch==2.1.0+cu121, we can
         conclude that your requirements are unsatisfiable."""
NO_WHEEL = """error: No solution found when resolving dependencies
  cause: Because demo==4.9.3 has no usable wheels and you require demo==4.9.3, we can conclude that your
         requirements are unsatisfiable.

hint: Wheels are required for `demo` because building from source is disabled for all packages"""
DENIED = """error: Failed to fetch: `https://host/simple/demo/`
  cause: HTTP status client error (401 Unauthorized) for url (https://host/simple/demo/)"""


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (MISSING, "there is no package demo (requirements.txt:1)"),
        (NO_VERSION, "there is no version torch==2.1.0+cu121 (requirements.txt:2). Versions with a"),
        (NO_WHEEL, "demo==4.9.3 has no wheel for linux/amd64 and Python 3.11 (requirements.txt:1)"),
        (DENIED, "the package index refused: HTTP 401 (host)"),
        (
            "error: failed to read directory `/c/uv/archive-v0/JC0`: No such file or directory (os error 2)",
            "another process cleaned uv's cache while uv used it (uv's cache). Run again",
        ),
        ("error: something new", "uv can't resolve the requirements: something new (requirements.txt)"),
    ],
)
def test_uvs_words_become_one_line(output, message):
    """What uv writes about real indexes, recorded; what it may write one day still names the file."""
    error = explain(output, LINES, "3.11")

    assert str(error).startswith(message)
    assert error.detail == output


def test_a_variable_of_a_list_has_to_be_set(make_project, tmp_path, monkeypatch):
    """The login of an index that is missing is named before the index refuses."""
    text = "six\n--extra-index-url https://${INDEX_TOKEN}@index.example/simple\n"
    root = make_project({"requirements.txt": text}, name="login")
    monkeypatch.delenv("INDEX_TOKEN", raising=False)
    with pytest.raises(DependencyError, match=r"variable INDEX_TOKEN is not set \(requirements\.txt\)\. Set it"):
        freeze(root, load(root), cache=tmp_path / "cache")
