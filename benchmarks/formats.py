"""How fast lineages are read and written, against pandas and geff alone on the same tables.

    python benchmarks/formats.py [--spots 700000] [--formats CSV GEFF "TrackMate XML"] [--json FILE]

One process each, imports not counted. ``alone`` is the library that the format rests on, without our checks and our lineages:
``pandas`` reads and writes the CSV, ``geff`` reads and writes the arrays of the GEFF, and ``pandas`` reads the spots of
TrackMate's XML (``read_xml``, iterating) and writes them (``to_xml``). ``peak_mb`` is how far the memory of the process rose above
what it held before the step (Linux), ``table_mb`` what the table of points itself takes, ``peak_of_table`` their ratio.
"""

from __future__ import annotations

import gc
import json
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from measure import markdown_table, measured, parser, run_command, write_rows

FORMATS = {"CSV": "a.csv", "GEFF": "a.geff", "TrackMate XML": "a.xml"}
XML_COLUMNS = ["ID", "POSITION_X", "POSITION_Y", "POSITION_Z", "POSITION_T", "FRAME", "RADIUS", "QUALITY", "VISIBILITY"]


def make_points(spots: int, length: int = 60) -> Any:
    """Points of a movie of 200 frames: tracks of ``length`` frames, a mother and her two daughters in turn."""
    from celltrail.data.formats.points import points_from_links

    random = np.random.default_rng(0)
    tracks = max(spots // length, 3) // 3 * 3
    begin = np.repeat(random.integers(0, 70, tracks // 3), 3)
    begin[np.arange(tracks) % 3 > 0] += length
    frame = (begin[:, None] + np.arange(length)).ravel()
    position = random.uniform(0, 2000, (tracks, 1, 3)) + np.cumsum(random.normal(0, 2, (tracks, length, 3)), axis=1)
    position = position.reshape(-1, 3) * (0, 1, 1)
    rows = np.arange(tracks * length).reshape(tracks, length)
    within = np.stack([rows[:, :-1].ravel(), rows[:, 1:].ravel()], axis=1)
    between = [np.stack([rows[0::3, -1], rows[k::3, 0]], axis=1) for k in (1, 2)]
    return points_from_links(
        frame, position, np.concatenate([within, *between]), ndim=2, voxel=(1.0, 0.5, 0.5), interval=60.0
    )


def write_ours(points: Any, path: Path) -> None:
    """Write the points in the format that the name says."""
    from celltrail.data.formats.geff import write_geff
    from celltrail.data.formats.tables import write_table
    from celltrail.data.formats.trackmate.writing import write_trackmate

    {".csv": write_table, ".geff": write_geff, ".xml": write_trackmate}[path.suffix](points, path)


def steps_alone(path: Path, target: Path) -> tuple[Callable[[], Any], Callable[[Any], Any]]:
    """Reading and writing by the library alone."""
    import pandas as pd

    if path.suffix == ".csv":
        return lambda: pd.read_csv(path), lambda table: table.to_csv(target, index=False)
    if path.suffix == ".xml":
        return (
            lambda: pd.read_xml(path, parser="etree", iterparse={"Spot": XML_COLUMNS}),
            lambda table: table.to_xml(target, parser="etree", attr_cols=list(table.columns), index=False),
        )
    from geff.core_io import read_to_memory, write_arrays

    def write(graph: Any) -> None:
        write_arrays(
            str(target),
            graph["node_ids"],
            graph["node_props"],
            graph["edge_ids"],
            graph["edge_props"],
            graph["metadata"],
        )

    return lambda: read_to_memory(str(path)), write


def memory_mb(what: str) -> float:
    """Memory of this process in MB: what it holds ("VmRSS"), or the most it held since `forget_peak` ("VmHWM")."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(what)]
    return int(line.split()[1]) / 1024


def forget_peak() -> None:
    """Make what the process holds now its peak."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")


def run_one(method: str, path: Path, target: Path, step: str) -> dict[str, float]:
    """Measure one step of one method in this process."""
    from celltrail.data.formats.convert import read_points

    warnings.simplefilter("ignore")
    read, write = steps_alone(path, target)
    if method == "celltrail":
        read, write = (lambda: read_points(path)), (lambda points: write_ours(points, target))
    small = path.with_name(f"small{path.suffix}")  # imports and what is made at the first call
    warm, warm_write = steps_alone(small, target.with_name(f"warm-{method}-{step}{path.suffix}"))
    if method == "celltrail":
        write_ours(read_points(small), target.with_name(f"warm-{method}-{step}{path.suffix}"))
    else:
        warm_write(warm())
    table = None if step == "read" else read()
    forget_peak()
    before = memory_mb("VmRSS")
    with measured() as usage:
        found = read() if step == "read" else write(table)
    peak = memory_mb("VmHWM") - before
    del found
    return {"cpu_s": usage.cpu_s, "wall_s": usage.wall_s, "peak_mb": peak}


def main() -> None:
    """Measure every format, step and method, print a table, and write it where asked."""
    options = parser(__doc__)
    options.add_argument("--spots", type=int, default=700_000)
    options.add_argument("--formats", nargs="+", choices=list(FORMATS), default=list(FORMATS), metavar="FORMAT")
    options.add_argument("--one", nargs=4, metavar=("METHOD", "PATH", "TARGET", "STEP"), help="used by the benchmark")
    given = options.parse_args()
    if given.one:
        method, path, target, step = given.one
        print(json.dumps(run_one(method, Path(path), Path(target), step)))
        return
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        points = make_points(given.spots)
        table_mb = len(points) * 8 * 6 / 2**20
        for name in given.formats:
            path = Path(folder) / FORMATS[name]
            write_ours(points, path)
            write_ours(make_points(600), path.with_name(f"small{path.suffix}"))
            for step in ("read", "write"):
                alone = "geff" if name == "GEFF" else "pandas"
                for method in ("celltrail", alone):
                    target = Path(folder) / f"{method}-{step}{path.suffix}"
                    command = [sys.executable, __file__, "--one", method, str(path), str(target), step]
                    _, status, output = run_command(command)
                    if status != 0:
                        sys.exit(f"{method} could not {step} {name}.")
                    found = json.loads(output.splitlines()[-1])
                    case = f"{step} {name}, {len(points):,} spots"
                    rows.append(
                        {"case": case, "method": method, **found}
                        | {"table_mb": table_mb, "peak_of_table": found["peak_mb"] / table_mb}
                    )
                rows[-2]["ratio"] = rows[-2]["cpu_s"] / max(rows[-1]["cpu_s"], 1e-9)
    header = ["case", "method", "cpu_s", "wall_s", "peak_mb", "table_mb", "peak_of_table", "ratio"]
    print(markdown_table(header, [[row.get(name) for name in header] for row in rows]))
    write_rows(given.json, rows)


if __name__ == "__main__":
    main()
