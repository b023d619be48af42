"""A sweep of examples/digits beside plain Optuna that calls `python train.py`: seconds, and the best model.

    python benchmarks/sweeps/digits.py [--trials 20] [--parallel 4]

Both search the same space with the same sampler and seed. The sweep's jobs run in local_vertex, on this machine. A
second table says who uses the processors: what one trial more costs, by the difference to a sweep of one trial.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

from prefect_vertex_training.cli.prefect_server.kept_server import read_record
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.local_vertex.endpoint import record_path

ROOT = Path(__file__).resolve().parents[2]
PROJECT = ROOT / "examples" / "digits"
SPACE = ("learning-rate = { log = [1e-4, 1e-1] }", "hidden = { int = [16, 256] }")
EPOCHS = "10"


def own_run(python: str, folder: Path, arguments: list[str]) -> tuple[float, float]:
    """Seconds and last accuracy of `python train.py`."""
    begin = time.perf_counter()
    words = [python, "train.py", "--epochs", EPOCHS, "--model-dir", str(folder), *arguments]
    done = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True, check=True)
    numbers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return time.perf_counter() - begin, numbers[-1]["accuracy"]


def plain_optuna(python: str, folder: Path, trials: int, parallel: int) -> tuple[float, float]:
    """Seconds of plain Optuna with threads, and the best accuracy."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0, constant_liar=True))

    def objective(trial: optuna.Trial) -> float:
        rate = trial.suggest_float("learning-rate", 1e-4, 1e-1, log=True)
        hidden = trial.suggest_int("hidden", 16, 256)
        return own_run(python, folder / str(trial.number), [f"--learning-rate={rate}", f"--hidden={hidden}"])[1]

    begin = time.perf_counter()
    with ThreadPoolExecutor(parallel):
        study.optimize(objective, n_trials=trials, n_jobs=parallel)
    return time.perf_counter() - begin, study.best_value


def sweep(environment: dict[str, str], trials: int, parallel: int) -> dict[str, Any]:
    """The JSON result of the sweep, and the seconds of its trials."""
    words = ["-m", "prefect_vertex_training", "sweep", str(PROJECT), "--metric", "accuracy", "--goal", "max", "--json"]
    words += ["--trials", str(trials), "--parallel", str(parallel), "--prune", "off"]
    for each in SPACE:
        words += ["--space", each]
    words += ["--", "--epochs", EPOCHS]
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, check=False, env=environment, cwd=ROOT.parent
    )
    if done.returncode:
        raise SystemExit(done.stderr[-4000:])
    return json.loads(re.findall(r"^\{.*\}$", done.stdout, re.MULTILINE)[-1])


def processor_seconds(home: Home) -> dict[str, float]:
    """Seconds of the processors that each part has used so far: programs that stay, and what this process has started.

    The jobs' own are those of all processes that their supervisor has seen end.
    """
    server = read_record(home)
    local = json.loads(record_path(home).read_text())["pid"]
    mark = f"VERTEX_TRAINING_HOME={home.root}".encode()
    supervisors = [each for each in Path("/proc").glob("[0-9]*") if _is_supervisor(each, mark)]
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "Prefect's server": _ticks(server.pid)[0] if server else 0.0,
        "the sweep's own process": used.ru_utime + used.ru_stime,
        "local_vertex": _ticks(local)[0] + sum(_ticks(int(each.name))[0] for each in supervisors),
        "the trials' scripts": sum(_ticks(int(each.name))[1] for each in supervisors),
    }


def _is_supervisor(process: Path, mark: bytes) -> bool:
    try:
        words = (process / "cmdline").read_bytes()
        return b"supervisor" in words and mark in (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return False


def _ticks(pid: int) -> tuple[float, float]:
    """Seconds of a process itself, and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own, children = fields[11:13], fields[13:15]
    each = os.sysconf("SC_CLK_TCK")
    return sum(map(int, own)) / each, sum(map(int, children)) / each


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--parallel", type=int, default=4)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        home = Home(folder / "home")
        environment = {**os.environ, "HOME": scratch, "VERTEX_TRAINING_HOME": str(home.root)}
        environment["VERTEX_TRAINING_PRELOAD"] = "off"  # so that the sweep runs in a child of this process
        warm = sweep(environment, 1, 1)  # fetches the wheels, and builds the image
        own = [own_run(sys.executable, folder / "own", [])[0] for _ in range(3)]
        seconds = statistics.median(own)
        plain, best = plain_optuna(sys.executable, folder / "plain", chosen.trials, chosen.parallel)
        used = [processor_seconds(home)]
        for trials in (1, chosen.trials):
            found = sweep(environment, trials, min(chosen.parallel, trials))
            used.append(processor_seconds(home))
        subprocess.run(
            [sys.executable, "-m", "prefect_vertex_training", "local", "stop"],
            env=environment, cwd=ROOT.parent, check=False, capture_output=True,
        )  # fmt: skip
    before = sum(step["seconds"] for step in found["steps"])
    lanes = min(chosen.parallel, os.cpu_count() or 1)
    target = 1.25 * chosen.trials * seconds / lanes + 0.5 * chosen.trials
    print(f"python train.py alone: {seconds:.2f} s; {os.cpu_count()} cores; image {warm['image'][-12:]}")
    print(f"{'':<28} {'seconds':>8} {'best accuracy':>14}")
    print(f"{'defaults':<28} {'':>8} {found['trials'][0]['metric']:>14.4f}")
    print(f"{'plain Optuna, python train.py':<28} {plain:>7.1f} {best:>14.4f}")
    print(f"{'sweep, trials alone':<28} {found['seconds'] - before:>8.1f} {found['best']['metric']:>14.4f}")
    print(f"{'sweep, with verify to push':<28} {found['seconds']:>8.1f}")
    print(f"{'target of the trials':<28} {target:>8.1f}")
    print(f"\n{'processor seconds':<28} {'a trial':>8}")
    for part in used[0]:
        one, all_of_them = (later[part] - earlier[part] for earlier, later in pairwise(used))
        print(f"{part:<28} {(all_of_them - one) / (chosen.trials - 1):>8.2f}")


if __name__ == "__main__":
    main()
