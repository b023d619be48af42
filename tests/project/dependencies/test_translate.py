"""The plan for a list: what becomes of every line that can't travel as it is."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from prefect_vertex_training.core.errors import DependencyError
from prefect_vertex_training.core.job_options import Machine
from prefect_vertex_training.project.dependencies.find_list import read
from prefect_vertex_training.project.dependencies.translate import Plan, make_plan
from prefect_vertex_training.project.settings.job_settings import JobSettings
from prefect_vertex_training.project.settings.settings import load

FREEZES = Path(__file__).parent / "freezes"
CASES = sorted(path.name for path in FREEZES.iterdir())


def plan_of(root: Path, installed: dict[str, str] | None = None, **settings) -> Plan:
    """The plan for the project in `root`."""
    machine = {name: settings.pop(name) for name in list(settings) if name.startswith(("machine", "accelerator"))}
    job = JobSettings(machine=Machine(**machine))
    chosen = replace(load(root), **{"python": "3.11", "job": job, **settings})
    return make_plan(root.resolve(), chosen, read(root, chosen), installed or {})


def shown(plan: Plan, root: Path) -> str:
    """A plan as the corpus keeps it: what changed, then what uv is told where the list alone would not do."""
    lines = [f"{plan.method}: {len(plan.entries)} lines"]
    for entry in plan.changes:
        result = f" -> {entry.result}" if entry.result else ""
        lines.append(f"{entry.action} {entry.line}{result}  # {entry.reason} ({entry.place})")
    lines += [f"option {option}" for option in plan.options]
    lines += [f"build {it.name} {it.folder or f'{it.url} {it.ref} {it.subdirectory}'.strip()}" for it in plan.builds]
    return "\n".join(lines).replace(str(root), "/PROJECT") + "\n"


@pytest.fixture
def case(request, tmp_path):
    """A recorded freeze, laid out as a project."""
    root = tmp_path / request.param
    shutil.copytree(FREEZES / request.param, root)
    (root / "train.py").write_text("")
    listed = root / "requirements.txt"
    if b"/PROJECT" in (data := listed.read_bytes() if listed.exists() else b""):
        listed.write_bytes(data.replace(b"/PROJECT", os.fsencode(root)))
    for name in ("features", "labels", "metrics") if request.param == "editable" else ():
        (root / "libs" / name).mkdir(parents=True)
        (root / "libs" / name / "pyproject.toml").write_text(f'[project]\nname = "{name}"\nversion = "1"\n')
    if request.param == "editable":
        (root / "wheels").mkdir()
        (root / "wheels" / "lookup-2.0-py3-none-any.whl").touch()
    return root


def installed_in(root: Path) -> dict[str, str]:
    """What the case's own environment held."""
    from packaging.utils import canonicalize_name

    file = root / "installed.txt"
    pairs = (line.split("==") for line in file.read_text().split()) if file.exists() else ()
    return {canonicalize_name(name): version for name, version in pairs}


@pytest.mark.parametrize("case", CASES, indirect=True)
def test_a_recorded_freeze_gives_the_expected_plan(case):
    """Lists of other machines: each line that can't stay is named, with what was done and why.

    REWRITE=1 in the environment writes the expected plans anew, to be read before they are committed.
    """
    plan = plan_of(case, installed_in(case), translate=True)

    expected = case / "expected.txt"
    if os.environ.get("REWRITE"):
        (FREEZES / case.name / "expected.txt").write_text(shown(plan, case))
    assert shown(plan, case) == expected.read_text()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "numpy @ file:///croot/numpy_1668593740598/work",
            ["what is not on this machine", "numpy==VERSION", "pip list"],
        ),
        ("file:///tmp/nowhere", ["what is not on this machine", "NAME==VERSION"]),
        ("-e ./empty", ["a folder without a package"]),
        ("--editable=./lib", ["what is not on this machine"]),
        ("../lib", ["what is not on this machine"]),
        (r"C:\wheels\x", ["what is not on this machine"]),
        ("hg+https://example.com/a/b#egg=b", ["b comes from a hg repository", "released version"]),
        ("numpy=>1", ["is not a requirement", "NAME==VERSION"]),
        ("numpy 1.26", ["is not a requirement"]),
    ],
)
def test_a_line_that_cannot_travel_is_named(make_project, line, words):
    """File and line number, the text, and what to write instead: in one line."""
    root = make_project({"requirements.txt": f"joblib\n{line}\n", "empty/none": ""})

    with pytest.raises(DependencyError) as caught:
        plan_of(root)

    message = str(caught.value)
    for word in [*words, "requirements.txt:2"]:
        assert word in message
    assert "\n" not in message
    assert not caught.value.transient


def test_a_single_conda_line_is_told_from_a_conda_list(make_project):
    """In pyproject.toml nobody expects one."""
    root = make_project({"pyproject.toml": '[project]\nname = "x"\nversion = "1"\ndependencies = ["numpy=1.26.4"]\n'})

    with pytest.raises(DependencyError, match=r"numpy=1\.26\.4 is not a requirement.*write numpy==1\.26\.4"):
        plan_of(root)


def test_a_wheels_name_tells_its_version(make_project):
    """Also with Windows' backslashes, and of a source archive."""
    texts = [
        r"C:\wheels\x-1.0-py3-none-any.whl",
        "./nowhere/y-2.1.tar.gz",
        "z @ file:///D:/z-3-cp311-cp311-win_amd64.whl",
    ]

    assert plan_of(make_project({"requirements.txt": "\n".join(texts)})).requirements == ("x==1.0", "y==2.1", "z==3")


@pytest.mark.parametrize(
    ("line", "build"),
    [
        ("a @ git+https://h/o/a@main", ("a", "https://h/o/a", "main", "")),
        ("a @ git+https://user:pw@h/o/a.git", ("a", "https://user:pw@h/o/a.git", "", "")),
        ("git+ssh://git@h/o/a.git@v1#egg=a&subdirectory=py", ("a", "ssh://git@h/o/a.git", "v1", "py")),
        ("-e git+https://h/o/a@feature/x#egg=a", ("a", "https://h/o/a", "feature/x", "")),
        ("a[x,y] @ git+file:///srv/a@0123 ; python_version > '3'", ("a", "file:///srv/a", "0123", "")),
    ],
)
def test_a_repositorys_address_is_taken_apart(make_project, line, build):
    """Users, refs with slashes, subdirectories, names in the fragment."""
    built = plan_of(make_project({"requirements.txt": f"{line}\n"})).builds[0]

    assert (built.name, built.url, built.ref, built.subdirectory) == build


def test_constraints_limit_and_ask_for_nothing(make_project):
    """They go to uv as constraints, and count as no line of the report."""
    plan = plan_of(make_project({"requirements.txt": "a\n-c limits.txt\n", "limits.txt": "b<2\npywin32==306\n"}))

    assert (plan.requirements, plan.constraints, plan.changes) == (("a",), ("b<2",), ())


GPU = {"accelerator_type": "NVIDIA_L4", "accelerator_count": 1}


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("torch==2.1.0+cpu", ["Write torch==2.1.0 instead"]),
        (
            "--extra-index-url https://download.pytorch.org/whl/cpu\ntorch==2.1.0+cpu\ntorchvision==0.16.0+cpu",
            [
                "are CPU-only builds",
                "Write torch==2.1.0 and torchvision==0.16.0 instead",
                "and delete --extra-index-url",
            ],
        ),
        ("torch==2.1.0+rocm5.6", ["Write torch==2.1.0 instead"]),
        ("tensorflow-cpu==2.15.0", ["Write tensorflow[and-cuda]==2.15.0 instead"]),
        ("tensorflow-cpu==2.12.0", ["Write tensorflow==2.12.0 instead"]),
        ("jax[cpu]==0.4.30", ["Write jax[cuda12]==0.4.30 instead"]),
        (
            "jax[cpu]==0.4.10",
            ["Write jax[cuda12_pip]==0.4.10 instead, and add --find-links https://storage.googleapis"],
        ),
        ("xgboost-cpu==2.1.0", ["Write xgboost==2.1.0 instead"]),
    ],
)
def test_a_gpu_job_with_a_cpu_build_stops_with_the_replacement(make_project, lines, words):
    """Before anything is asked of an index; a job without GPU takes the same list."""
    root = make_project({"requirements.txt": f"{lines}\n"})

    with pytest.raises(DependencyError, match=r"the job has a GPU \(NVIDIA_L4\) \(requirements\.txt:\d") as caught:
        plan_of(root, **GPU)
    with pytest.raises(DependencyError, match=r"the job has a GPU \(g2-standard-8\)"):
        plan_of(root, machine_type="g2-standard-8")

    for word in words:
        assert word in str(caught.value)
    assert plan_of(root, machine_type="n1-standard-4").requirements
    assert plan_of(root, accelerator_type="TPU_V3").requirements


@pytest.mark.parametrize(
    ("line", "requirement", "options"),
    [
        ("torch==2.1.2+cu121", "torch==2.1.2+cu121", ["--extra-index-url https://download.pytorch.org/whl/cu121"]),
        ("torch==2.1.2+cpu", "torch==2.1.2+cpu", ["--extra-index-url https://download.pytorch.org/whl/cpu"]),
        ("torch==2.1.2", "torch==2.1.2", []),
        ("tensorflow-gpu==2.10.0", "tensorflow==2.10.0", []),
        ("tensorflow-gpu==2.15.0", "tensorflow[and-cuda]==2.15.0", []),
        ("tensorflow-gpu==1.15.5", "tensorflow-gpu==1.15.5", []),
        (
            "jaxlib==0.4.23+cuda12.cudnn89",
            "jaxlib==0.4.23+cuda12.cudnn89",
            ["--find-links https://storage.googleapis.com/jax-releases/jax_cuda_releases.html"],
        ),
        ("private==1.0+local", "private==1.0+local", []),
    ],
)
def test_builds_for_cuda_are_understood(make_project, line, requirement, options):
    """A local version brings the index that has it, and only where one is needed."""
    plan = plan_of(make_project({"requirements.txt": f"{line}\n"}))

    assert (plan.requirements, list(plan.options)) == ((requirement,), options)
    assert [entry.line for entry in plan.changes if entry.action == "added"] == options


def test_an_index_that_is_named_is_not_added_again(make_project):
    """Neither PyTorch's own nor a mirror of it, in the list or in uv's settings."""
    mirror = "--extra-index-url https://mirror.example/whl/cu121"
    root = make_project({"requirements.txt": f"{mirror}\ntorch==2.1.2+cu121\n"})
    bare = make_project({"requirements.txt": "torch==2.1.2+cu121\n"}, name="bare")

    assert plan_of(root).options == (mirror,)
    listed = read(bare, load(bare))
    assert make_plan(bare, load(bare), listed, {}, known="https://mirror.example/whl/cu121").options == ()


def test_conda_is_not_handed_to_pip(make_project):
    """Without `translate` its list is only named, in every form."""
    for name, text in {
        "environment.yml": "dependencies: [numpy]",
        "conda.yaml": "dependencies: [numpy]",
        "conda.txt": "numpy=1.26.4=py311h08b1b3b_0\n",
        "requirements.txt": "@EXPLICIT\nhttps://conda.example/numpy-1.conda\n",
    }.items():
        listed = read(root := make_project({name: text}, name=name), load(root))

        assert (listed.conda, listed.lines, listed.method) == (True, (), name)


@pytest.mark.parametrize(
    ("spec", "requirement"),
    [
        ("numpy", "numpy"),
        ("numpy=1.26", "numpy==1.26.*"),
        ("numpy=1.26.*", "numpy==1.26.*"),
        ("numpy==1.26.4", "numpy==1.26.4"),
        ("numpy=1.26.4=py311h64a7726_0", "numpy==1.26.4"),
        ("numpy 1.26.*", "numpy==1.26.*"),
        ("conda-forge::numpy>=1.20,<2", "numpy<2,>=1.20"),
        ("numpy >=1.20, <2", "numpy<2,>=1.20"),
        ("numpy 1.8|1.9", "numpy"),
        ("py-opencv==4.9.0", "opencv-python-headless==4.9.0.*"),
        ("pytorch==2.1.0=py3.11_cuda12.1_cudnn8.9.2_0", "torch==2.1.0+cu121"),
        ("pytorch=2.1.0=cpu_py311h_0", "torch==2.1.0+cpu"),
    ],
)
def test_condas_specs_become_pips(make_project, spec, requirement):
    """A single equal sign means "begins with"; builds of PyTorch become local versions."""
    root = make_project({"environment.yml": f"dependencies:\n  - '{spec}'\n"})

    assert plan_of(root, translate=True).requirements == (requirement,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "not valid YAML"),
        ("name: x", "lists no dependencies"),
        ("dependencies: ['???']", "is not a conda package"),
    ],
)
def test_a_broken_conda_file_is_one_line(make_project, text, message):
    """The file is named."""
    with pytest.raises(DependencyError, match=message) as caught:
        plan_of(make_project({"environment.yml": text}), translate=True)

    assert "environment.yml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_addresses_of_conda_packages_cannot_be_translated(make_project):
    """The way to a list that can is told."""
    root = make_project({"conda.txt": "@EXPLICIT\nhttps://conda.example/numpy-1.conda\n"})

    with pytest.raises(DependencyError, match=r"can't be translated.*conda env export --no-builds"):
        plan_of(root, translate=True)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("pkg-resources==0.0.0", "belongs to Debian or Ubuntu itself"),
        ("pkg_resources==0.0.0", "belongs to Debian or Ubuntu itself"),
        ("python-apt==2.4.0+ubuntu4", "belongs to Debian or Ubuntu itself"),
        ("dataclasses==0.8", "is a part of Python itself"),
        ("futures==3.1.1", "is a part of Python itself"),
        ("os", "is a part of Python itself"),
        ("python>=3.8", "the version of Python is the project's own, 3.11"),
    ],
)
def test_what_no_index_has_for_this_python_is_left_out_and_said(make_project, line, reason):
    """Lists frozen on Ubuntu, of Python 2 or written by hand name what every image has or no image can have."""
    plan = plan_of(make_project({"requirements.txt": f"{line}\nsix==1.16.0\nDateTime\n"}, name="listed"))
    assert [(entry.line, reason in entry.reason) for entry in plan.changes] == [(line, True)]
    assert plan.requirements == ("six==1.16.0", "DateTime")


def test_a_list_that_excludes_the_projects_python_stops(make_project):
    """The setting that chooses another one is named."""
    with pytest.raises(
        DependencyError, match=r"python<3\.10 excludes Python 3\.11 \(requirements\.txt:1\)\. Set python"
    ):
        plan_of(make_project({"requirements.txt": "python<3.10\n"}, name="excludes"))


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("pip install six", "Write only what is installed: six"),
        ("!pip3 install six==1.16.0", "Write only what is installed: six==1.16.0"),
        ("Package    Version\n---------- -------\nsix        1.16.0", "pip freeze > requirements.txt"),
    ],
)
def test_other_forms_of_a_list_are_told_by_what_to_write(make_project, text, step):
    """Commands and tables that were copied into a list."""
    with pytest.raises(DependencyError, match="is not a requirement") as caught:
        plan_of(make_project({"requirements.txt": f"{text}\n"}, name="copied"))
    assert step in str(caught.value)
