"""Commands killed at random moments: what stands under the final name is always whole.

    python benchmarks/kills.py [--kills 50] [--only track convert …] [--json FILE]

Each command runs once to its end, then is killed (SIGKILL, with all its children) at moments spread
over that time, alternately with no result yet and over an older one. After each kill the result must be
absent, or the old one, or the new one, byte by byte; after all of them the command must still work.
One row per command: kills, how many came before the end, how often each outcome was found, faults.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from measure import markdown_table, parser, write_rows


def make_inputs(folder: Path) -> None:
    """A small data set with truth, a result, and its table."""
    from data.simulate import simulate_movie, write_movie

    write_movie(simulate_movie(frames=16, cells=14, size=(160, 160), seed=5), folder / "set")
    command("track", folder / "set/01_GT/TRA", "--out", folder / "set/01_RES")


def commands(folder: Path) -> dict[str, tuple[list[object], str]]:
    """What is killed: the words of each command, and the name of what it makes."""
    data, result = folder / "set", folder / "set/01_RES"
    return {
        "simulate": (["simulate", "OUT", "--frames", 16, "--cells", 14, "--size", 160, 160], "out"),
        "segment": (["segment", data / "01", "--model", "sim-fluo", "--out", "OUT"], "out"),
        "track": (["track", data / "01_GT/TRA", "--out", "OUT"], "out"),
        "evaluate": (["evaluate", data / "01_GT", result, "--json", "OUT"], "out.json"),
        "convert": (["convert", result, "OUT"], "out"),
        "render": (["render", result, "--images", data / "01", "--out", "OUT"], "out.gif"),
        "train": (
            ["train", data, "--sequence", "01", "--truth", "GT", "--steps", 30, "--out", "OUT"],
            "out.safetensors",
        ),
        "compare": (["compare", data, f"one={result}", f"two={data / '01_GT/TRA'}", "--out", "OUT"], "out"),
    }


def command(*words: object) -> None:
    """Run a command to its end; the benchmark ends where it fails."""
    done = subprocess.run([sys.executable, "-m", "celltrail", *map(str, words)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"'celltrail {' '.join(map(str, words))}' ended with {done.returncode}:\n{done.stderr}")


def fingerprint(path: Path) -> str:
    """What a result says, without times, memory and paths; ``""`` where there is none."""
    if not path.exists():
        return ""
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    digest = hashlib.sha256()
    for file in files:
        digest.update(str(file.relative_to(path) if path.is_dir() else "").encode())
        if file.suffix in (".json", ".html", ".npz", ".safetensors", ".csv", ".png", ".md"):
            # These hold seconds or versions: whole means that they can be read.
            digest.update(readable(file).encode())
        else:
            digest.update(file.read_bytes())
    return digest.hexdigest()


def readable(file: Path) -> str:
    """``"whole"`` where a file is complete, otherwise what is wrong."""
    content = file.read_bytes()
    try:
        if file.suffix == ".json":
            json.loads(content)
        elif file.suffix == ".npz":
            import numpy as np

            with np.load(file, allow_pickle=False) as archive:
                dict(archive)
        elif file.suffix == ".safetensors":
            from safetensors import safe_open

            with safe_open(file, framework="np") as tensors:
                for name in tensors.keys():  # noqa: SIM118 (not a dict)
                    tensors.get_tensor(name)
        elif file.suffix == ".html" and b"</html>" not in content[-200:]:
            return "cut"
        elif not content:
            return "empty"
    except Exception as error:
        return f"damaged: {error}"
    return "whole"


def kill_often(words: list[object], out: Path, kills: int, moments: random.Random) -> dict[str, Any]:
    """Kill a command ``kills`` times; the row of what was found."""
    words = [str(out) if word == "OUT" else word for word in words]
    command(*words)
    reference = fingerprint(out)
    start = time.perf_counter()
    command(*words, "--overwrite")  # the second time, compiled code lies ready
    whole_s = time.perf_counter() - start
    row: dict[str, Any] = {"kills": 0, "before_end": 0, "none": 0, "whole": 0, "faults": 0, "wall_s": round(whole_s, 2)}
    for number in range(kills):
        over_old = number % 2 == 1
        if not over_old:
            shutil.rmtree(out, ignore_errors=True) if out.is_dir() else out.unlink(missing_ok=True)
        elif not out.exists():
            command(*words)
        extra = ["--overwrite"] if over_old else []
        process = subprocess.Popen(
            [sys.executable, "-m", "celltrail", *map(str, words), *extra],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        time.sleep(whole_s * moments.uniform(0.2, 1.05))
        row["kills"] += 1
        row["before_end"] += process.poll() is None
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        found = fingerprint(out)
        if found == reference:
            row["whole"] += 1
        elif not found and not over_old:
            row["none"] += 1
        else:
            row["faults"] += 1
    command(*words, *(["--overwrite"] if out.exists() else []))
    row["faults"] += fingerprint(out) != reference
    row["left_behind"] = len([p for p in out.parent.iterdir() if p.name.startswith(".")])
    return row


def main() -> None:
    """Kill every command and print the table."""
    arguments = parser(__doc__)
    arguments.add_argument("--kills", type=int, default=50)
    arguments.add_argument("--only", nargs="*", default=None, help="commands; all by default")
    chosen = arguments.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_inputs(folder)
        for case, (words, out) in commands(folder).items():
            if chosen.only and case not in chosen.only:
                continue
            place = folder / "results" / case
            place.mkdir(parents=True)
            row = kill_often(words, place / out, chosen.kills, random.Random(case))
            rows.append({"case": case, "method": "celltrail", **row})
            print(f"{case}: {row}", file=sys.stderr, flush=True)
    print(markdown_table(list(rows[0]), [list(row.values()) for row in rows]))
    write_rows(chosen.json, rows)
    sys.exit(1 if any(row["faults"] for row in rows) else 0)


if __name__ == "__main__":
    main()
