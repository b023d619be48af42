"""Search spaces: what is read from TOML, what is refused with one line, and what grids and conditions give."""

from __future__ import annotations

from pathlib import Path

import pytest
from prefect_vertex_training.core.errors import ProjectError
from prefect_vertex_training.project.settings.search_space import combinations, middle_of, read_space
from prefect_vertex_training.project.settings.settings import load
from prefect_vertex_training.project.settings.sweep_settings import SweepSettings, chosen

HEAD = '[tool.vertex-training.sweep]\nmetric = "accuracy"\ngoal = "max"\n[tool.vertex-training.sweep.space]\n'


def read(folder: Path, text: str) -> SweepSettings:
    """The sweep settings of a project with this pyproject.toml."""
    (folder / "train.py").touch()
    (folder / "pyproject.toml").write_text(text)
    return load(folder).sweep


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("lr = { log = [0, 1] }", "lr is searched by its logarithm from 0"),
        ("lr = { log = [-1, 1] }", "lr is searched by its logarithm from -1"),
        ("depth = { int = [0, 8], log = true }", "depth is searched by its logarithm from 0"),
        ("batch = []", "batch is an empty list"),
        ("batch = [16, 16]", "batch lists a value twice"),
        ("batch = [[1]]", "batch lists something else than numbers"),
        ("lr = 0.1", "lr is 0.1, and must be a list"),
        ("lr = { float = [2, 1] }", "lr has a range from 2 to 1"),
        ("lr = { float = [nan, 1] }", "a range has two numbers"),
        ("lr = { float = [1] }", "a range has two numbers"),
        ("depth = { int = [1.5, 3] }", "depth has int"),
        ("lr = { logg = [1, 2] }", "unknown key logg .*Did you mean log"),
        ("lr = { float = [0, 1], log = [1, 2] }", "exactly one of float, log, int and choice"),
        ("lr = { float = [0, 1], step = 0 }", "lr has step = 0"),
        ("depth = { int = [1, 5], step = 10 }", "depth has step = 10, more than its range"),
        ("optimizer.lr = { log = [1e-3, 1] }", r'unknown key lr .*quotes: "optimizer\.lr" = '),
        ("lr = { float = [0, 1], when = { kinds = 1 } }\nkind = [1, 2]", "depends on kinds.*Did you mean kind"),
        ("lr = { float = [0, 1], when = { kind = 3 } }\nkind = [1, 2]", "kind = 3, which kind never is"),
        ("a = { int = [1, 2], when = { b = 1 } }\nb = { int = [1, 2], when = { a = 1 } }", "depend on each other"),
        ('"-lr" = [1]', "-lr is no name of a parameter"),
        ("", "the space has no parameter"),
    ],
)
def test_a_wrong_space_is_refused_with_its_line(tmp_path: Path, line: str, message: str) -> None:
    """The message names the parameter and the line of pyproject.toml."""
    with pytest.raises(ProjectError, match=message) as caught:
        read(tmp_path, HEAD + line)
    assert "pyproject.toml:" in str(caught.value)
    assert caught.value.next_step


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('metrik = "a"', "unknown key metrik .*Did you mean metric"),
        ('goal = "maxx"', "Did you mean max"),
        ("trials = 0", "trials .* at least 1"),
        ('template = ["{lx}"]\nspace = { lr = [1] }', "{lx} in '{lx}' is nothing that a trial has"),
        ('template = ["x"]\nspace = { lr = [1] }', "the template has no {lr}"),
        ('argument = "--{name}"', "argument has no {value}"),
        ('argument = "--{name}={value"', "has an open brace"),
        ('stop-after = "soon"', "stop-after"),
    ],
)
def test_wrong_settings_of_a_sweep_are_refused(tmp_path: Path, text: str, message: str) -> None:
    """A misspelled key or value names the nearest valid one."""
    with pytest.raises(ProjectError, match=message):
        read(tmp_path, f"[tool.vertex-training.sweep]\n{text}\n")


def test_a_run_adds_to_the_projects_space_and_replaces_of_it(tmp_path: Path) -> None:
    """Lines of the command line are read as those of the file; words for a number of trials are, too."""
    own = read(
        tmp_path, HEAD.replace("goal", 'stop-after = "no progress in 8 trials"\ngoal') + "lr = [0.1]\nb = [1, 2]"
    )

    made = chosen(
        own, {"trials": 7, "goal": ""}, ["lr = { log = [1e-4, 1.0] }", "c = { int = [1, 3], when = { b = 2 } }"]
    )

    assert (made.trials, made.goal, made.stop_after) == (7, "max", 8)
    assert {each.name: each.kind for each in made.space} == {"lr": "log", "b": "choice", "c": "int"}
    with pytest.raises(ProjectError, match="is no parameter: "):
        chosen(own, {}, ["lr = { log = [1e-4"])
    with pytest.raises(ProjectError, match="parallel is 9, more than the 7 trials"):
        chosen(made, {"parallel": 9}, [])
    assert chosen(made, {"trials": 1}, []).parallel == 1  # nobody has asked for more


@pytest.mark.parametrize("missing", ["metric", "goal", "space"])
def test_what_a_sweep_needs_is_asked_for(missing: str) -> None:
    """Metric, goal and space have no default."""
    whole = {"metric": "a", "goal": "max"}
    changes = {name: value for name, value in whole.items() if name != missing}

    with pytest.raises(ProjectError, match=f"the sweep has no {missing}"):
        chosen(SweepSettings(), changes, [] if missing == "space" else ["a = [1]"])


def test_a_grid_leaves_out_what_a_condition_leaves_out() -> None:
    """Every combination once; ranges by their steps, or by evenly spread points."""
    space = read_space(
        {
            "depth": {"int": [2, 6], "step": 2, "when": {"kind": "tree"}},
            "kind": ["tree", "line"],
            "lr": {"log": [0.001, 1.0], "points": 4},
        }
    )

    found = list(combinations(space))

    assert len(found) == 3 * 4 + 4
    assert {each.get("depth") for each in found} == {None, 2, 4, 6}
    assert sorted({each["lr"] for each in found}) == [0.001, 0.01, 0.1, 1.0]
    assert middle_of(space) == {"kind": "tree", "lr": 0.0316228, "depth": 4}
