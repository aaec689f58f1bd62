"""Whether a change of the code changes results: fingerprints of everything that Celltrail writes for five movies.

    python benchmarks/unchanged.py DATA --json before.json      # before the change
    python benchmarks/unchanged.py DATA --against before.json   # after it; names every file that differs

DATA holds the data sets ``Fluo-N2DL-HeLa`` and ``DIC-C2DH-HeLa`` of the Cell Tracking Challenge. Tracked and
evaluated are the demo's simulated movie (from images), Fluo-HeLa 01 and DIC-HeLa 01 from silver masks, DIC-HeLa 01
with ``--repair``, and some of its frames with the hypotheses of a shipped model; the first three are
compared with the greedy tracker. Seconds, memory, versions, paths and dates are left out of the fingerprints, nothing else.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from measure import celltrail, parser, write_rows

VOLATILE = {"seconds", "peak_memory_mb", "versions", "path", "jobs", "created", "version", "command", "settings"}
HYPOTHESES = "60:66"


def settled(value: Any) -> Any:
    """A JSON document without what differs from run to run."""
    if isinstance(value, dict):
        return {key: settled(part) for key, part in value.items() if key not in VOLATILE}
    return [settled(part) for part in value] if isinstance(value, list) else value


def fingerprint(path: Path) -> str:
    """SHA-256 of what a file says."""
    digest = hashlib.sha256()
    if path.suffix == ".json":
        digest.update(json.dumps(settled(json.loads(path.read_text())), sort_keys=True).encode())
    elif path.suffix == ".npz":
        with np.load(path) as arrays:
            for name in sorted(arrays.files):
                if not set(name.split(".")) & VOLATILE:
                    digest.update(name.encode() + str(arrays[name].dtype).encode() + arrays[name].tobytes())
    else:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def run_all(data: Path, out: Path) -> None:
    """Write every result below ``out``."""
    fluo, dic = data / "Fluo-N2DL-HeLa", data / "DIC-C2DH-HeLa"
    subprocess.run(
        [sys.executable, "-m", "celltrail", "demo", "--out", str(out / "demo")], check=True, stdout=sys.stderr
    )
    for name, dataset, options in (
        ("fluo", fluo, []),
        ("dic", dic, []),
        ("dic-repair", dic, ["--repair"]),
        ("fluo-greedy", fluo, ["--method", "greedy"]),
        ("dic-greedy", dic, ["--method", "greedy"]),
    ):
        (out / name).mkdir()
        masks, result = dataset / "01_ST" / "SEG", out / name / "01_RES"
        celltrail("track", masks, "--images", dataset / "01", "--out", result, *options)
        _, evaluation = celltrail("evaluate", dataset / "01_GT", result)
        (out / name / "evaluation.json").write_text(json.dumps(evaluation))
    for name, dataset in (("fluo", fluo), ("dic", dic)):
        celltrail(
            "compare",
            dataset,
            f"ilp={out / name}",
            f"greedy={out / name}-greedy",
            "--draws",
            200,
            "--out",
            out / f"{name}-comparison",
        )
    masks = out / "hypotheses" / "01_MASKS"
    masks.parent.mkdir()
    celltrail("segment", dic / "01", "--model", "dic-hela", "--hypotheses", "--frames", HYPOTHESES, "--out", masks)
    celltrail(
        "track",
        masks,
        "--images",
        dic / "01",
        "--frames",
        HYPOTHESES,
        "--hypotheses",
        "--out",
        out / "hypotheses" / "01_RES",
    )


def main() -> None:
    """Entry point."""
    options = parser(__doc__)
    options.add_argument("data", type=Path)
    options.add_argument("--against", type=Path, help="fingerprints of an earlier run")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="celltrail-") as folder:
        out = Path(folder)
        run_all(given.data, out)
        files = sorted(p for p in out.rglob("*") if p.is_file() and p.suffix not in (".log", ".html", ".toml"))
        rows = [{"case": str(p.relative_to(out)), "method": "celltrail", "sha256": fingerprint(p)} for p in files]
    write_rows(given.json, rows)
    print(f"{len(rows)} files")
    if given.against is not None:
        before = {row["case"]: row["sha256"] for row in json.loads(given.against.read_text())["rows"]}
        now = {row["case"]: row["sha256"] for row in rows}
        changed = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
        print("\n".join(["Different:", *changed]) if changed else "Every file is the same.")
        sys.exit(bool(changed))


if __name__ == "__main__":
    main()
