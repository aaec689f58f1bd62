"""``celltrail solve``: a kept graph is solved again, with other costs, without its pixels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer

from celltrail.data.graph.candidates import NAT, load_graph, save_graph
from celltrail.data.graph.networkx_graph import from_networkx
from celltrail.data.running import console
from celltrail.tracking.cli import add_commands
from celltrail.tracking.solving.solver import solve_candidates


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """``A`` in frame 0 divides into ``B`` and ``C`` in frame 1, just so."""
    import networkx as nx

    drawing = nx.DiGraph()
    for node, (frame, y) in {"A": (0, 0), "B": (1, 0), "C": (1, 1)}.items():
        drawing.add_node(node, frame=frame, y=y, x=0.0, appear=5.0, disappear=5.0)
    drawing.add_edge("A", "B", cost=1.0)
    drawing.add_edge("A", "C", cost=2.0)
    drawing.graph["divisions"] = {("A", "B", "C"): {"cost": 5.5}}
    candidates = from_networkx(drawing)
    path = tmp_path / "graph.npz"
    save_graph(path, candidates, solve_candidates(candidates), track=np.array([1, 2, 3]))
    return path


def command(*arguments: object) -> int:
    app = typer.Typer()
    app.callback()(lambda: None)
    add_commands(app)
    return console.run(app, [str(argument) for argument in arguments])


def test_dearer_divisions_are_fewer(graph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new.npz"
    assert command("solve", graph, "--division", "1", "--out", out, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["status"], told["divisions"], told["links"]) == ("optimal", 0, 1)
    assert (told["changed_links"], told["changed_divisions"]) == (1, 1)
    assert told["objective"] == pytest.approx(5 + 1 + 5 + 5 + 5)
    candidates, solution, track = load_graph(out)
    assert candidates.divisions.cost.tolist() == [6.5 * NAT]
    assert solution is not None
    assert solution.link_chosen.tolist() == [True, False]
    assert track is not None
    assert track.tolist() == [1, 1, 2]


def test_the_same_costs_give_the_same_solution(graph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("solve", graph, "--solver", "pulp:CBC", "--out", tmp_path / "new.npz") == 0
    assert "proven optimal: 0 links, 1 division" in capsys.readouterr().out
    _, before, _ = load_graph(graph)
    _, after, _ = load_graph(tmp_path / "new.npz")
    assert before is not None
    assert after is not None
    assert before.objective == after.objective


def test_an_existing_graph_is_not_replaced(graph: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = graph.read_bytes()
    assert command("solve", graph, "--out", graph) == 2
    assert f"{graph} is what is read, and must not be replaced" in capsys.readouterr().err
    (other := graph.with_name("other.npz")).write_bytes(before)
    assert command("solve", graph, "--out", other) == 2
    assert "exists already" in capsys.readouterr().err
    assert graph.read_bytes() == other.read_bytes() == before
    other.unlink()


@pytest.mark.parametrize("nats", ["nan", "inf", "1e9"])
def test_a_cost_that_is_no_number_is_refused(
    nats: str, graph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("solve", graph, "--link", nats, "--out", tmp_path / "new.npz") == 2
    said = capsys.readouterr().err
    assert "--link " in said
    assert "give a" in said
    assert not (tmp_path / "new.npz").exists()


def test_a_graph_that_is_none_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "graph.npz").write_text("no graph")
    assert command("solve", tmp_path / "graph.npz", "--out", tmp_path / "new.npz") == 2
    assert "is not a graph of Celltrail" in capsys.readouterr().err


def test_ctrl_c_while_solving_writes_what_there_is(
    graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("celltrail.tracking.solving.regions.Regions.close", stop)
    out = tmp_path / "out"
    assert command("solve", graph, "--out", out) == 130
    assert load_graph(out)[1] is not None
