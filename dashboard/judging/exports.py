"""What can be taken away from a page: the CTC folder, GEFF, CSV and a report, each as the bytes of one file."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

from celltrail.dashboard.opening.content import Result
from celltrail.dashboard.opening.registry import Layer, Movie
from celltrail.data.files.containment import inside
from celltrail.data.formats.convert import convert_movie
from celltrail.evaluation.reports.sequence_report import write_report


def ctc_zip(result: Result) -> bytes:
    """Masks, track file and run of a result as a zip, with the name of its folder."""
    folder = result.layer.folder
    files = [*result.labels.files, *(folder / name for name in ("res_track.txt", "run.json", "graph.npz", "pins.csv"))]
    return _zip(folder.parent, ((file, inside(result.layer.root, file)) for file in files if file.is_file()))


def csv_table(result: Result) -> bytes:
    """The cells as a table with the columns that inTRACKtive reads."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "tracks.csv"
        convert_movie(result.layer.folder, target)
        return target.read_bytes()


def geff_zip(result: Result) -> bytes:
    """The lineage as GEFF, zipped. `data.MissingExtra` names the packages that it needs."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "tracks.geff"
        convert_movie(result.layer.folder, target)
        return _zip(target.parent, ((file, file) for file in sorted(target.rglob("*")) if file.is_file()))


def html_report(movie: Movie, truth: Layer, result: Result) -> bytes:
    """The report of the evaluation, as one page that needs nothing else."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "report.html"
        write_report(target, truth.folder.parent, result.layer.folder, images=movie.images)
        return target.read_bytes()


def _zip(root: Path, files: Iterable[tuple[Path, Path]]) -> bytes:
    """Files, each with the real path that is read for it, under their names below ``root``."""
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for file, real in files:
            archive.write(real, file.relative_to(root).as_posix())
    return out.getvalue()
