"""Whatever ends a command ends its children, and what they keep in the temporary folder goes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from celltrail.data.graph.candidates import load_graph
from celltrail.data.running.children import free_environment, watch_children

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")

SLEEPER = """
import subprocess, sys, time
from celltrail.data.running.children import watch_children
folder = watch_children()
(folder / "problem.mps").write_text("rows")
child = subprocess.Popen(["sh", "-c", "sleep 600 & sleep 601"], start_new_session=True)  # in no group of ours
print(child.pid, flush=True)
time.sleep(600)
"""
WORKERS = """
import time
from celltrail.data.running.workers import open_workers
if __name__ == "__main__":
    with open_workers(2) as mapper:
        print(0, flush=True)
        list(mapper(time.sleep, [600, 600]))
"""
SOLVER = """
import numpy as np
from scipy.sparse import csc_array
from celltrail.tracking.solving.backends import LinearProgramme, backend
rng = np.random.default_rng(0)
weights = rng.integers(10_000, 99_999, (6, 60)).astype(float)
middle = np.floor(weights.sum(axis=1) / 2)
problem = LinearProgramme(-rng.random(60), csc_array(weights), middle, middle)  # equal sums: CBC finds none for hours
print(0, flush=True)
backend("pulp:CBC")(problem, True, None)
"""


def relatives(place: Path) -> list[str]:
    """Processes that were started, at whatever remove, with this temporary folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"TMPDIR={place}".encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


PATIENCE = 120.0  # seconds after which something that should end is said to hang


def wait_for(condition: Callable[[], bool]) -> None:
    begin = time.monotonic()
    while not condition():
        assert time.monotonic() - begin < PATIENCE, "it hangs"
        time.sleep(0.1)


def hear_signals() -> None:
    """Signals that whoever runs the tests ignores (a shell in the background, nohup) are heard in the child."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def started(script: str, place: Path) -> subprocess.Popen[str]:
    file = place / "script.py"
    file.write_text(script)
    (place / "tmp").mkdir()
    process = subprocess.Popen(
        [sys.executable, str(file)],
        stdout=subprocess.PIPE,
        text=True,
        env={**free_environment(), "TMPDIR": str(place / "tmp")},
        preexec_fn=hear_signals,
    )
    assert process.stdout is not None
    assert process.stdout.readline()
    return process


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGHUP])
def test_children_end_with_their_master(how: signal.Signals, tmp_path: Path) -> None:
    process = started(SLEEPER, tmp_path)
    wait_for(lambda: sum("sleep 60" in one for one in relatives(tmp_path / "tmp")) >= 2)
    process.send_signal(how)
    process.communicate(timeout=PATIENCE)
    wait_for(lambda: relatives(tmp_path / "tmp") == [])
    wait_for(lambda: list((tmp_path / "tmp").iterdir()) == [])


@pytest.mark.slow
@pytest.mark.parametrize(("script", "name"), [(WORKERS, "spawn_main"), (SOLVER, "cbc")])
def test_workers_and_solvers_end_with_their_master(script: str, name: str, tmp_path: Path) -> None:
    process = started(script, tmp_path)
    wait_for(lambda: any(name in one for one in relatives(tmp_path / "tmp")))
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=PATIENCE)
    wait_for(lambda: relatives(tmp_path / "tmp") == [])
    wait_for(lambda: list((tmp_path / "tmp").iterdir()) == [])


HARD = """
import sys
from pathlib import Path
import networkx as nx
import numpy as np
from celltrail.data.graph.candidates import save_graph
from celltrail.data.graph.networkx_graph import from_networkx
rng, graph = np.random.default_rng(0), nx.DiGraph()
for k in range(160):  # which of many masks that overlap at random? half of each, says the relaxation
    free = dict(frame=0, y=float(k), x=0.0, optional=True, appear=0.0, disappear=0.0)
    graph.add_node(k, cost=-1.0 - 0.01 * rng.random(), **free)
graph.graph["cliques"] = [[i, j] for i in range(160) for j in range(i) if rng.random() < 0.1]
save_graph(Path(sys.argv[1]), from_networkx(graph))
"""


@pytest.mark.slow
def test_cbc_at_its_time_limit_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    graph, out = tmp_path / "graph.npz", tmp_path / "out.npz"
    subprocess.run([sys.executable, "-c", HARD, str(graph)], check=True)
    (tmp_path / "tmp").mkdir()
    words = ["solve", graph, "--out", out, "--solver", "pulp:CBC", "--time-limit", 15]
    done = subprocess.run(
        [sys.executable, "-m", "celltrail", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env={**free_environment(), "TMPDIR": str(tmp_path / "tmp")},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert " nats of the optimum" in done.stdout
    assert "--resume goes on" in done.stdout
    candidates, solution, _ = load_graph(out)  # what CBC had found until then is kept
    assert solution is not None
    assert solution.status == "gap"
    assert solution.bound < solution.objective < 0
    used = solution.used[candidates.clique_detection].astype(int)
    assert np.bincount(candidates.clique_id, used).max() <= 1
    wait_for(lambda: relatives(tmp_path / "tmp") == [])
    wait_for(lambda: list((tmp_path / "tmp").iterdir()) == [])
    assert {path.name for path in tmp_path.iterdir()} - {".out.npz.solved"} == {"graph.npz", "out.npz", "tmp"}


def test_what_shall_go_on_carries_no_mark() -> None:
    folder = watch_children()
    assert folder == watch_children()
    marks = set(os.environ) - set(free_environment())
    assert len(marks) >= 1
    assert all(name.startswith("CELLTRAIL_FAMILY_") for name in marks)
