"""Writing TrackMate's XML, so that Fiji opens a result: File › Plugins › Tracking › Load a TrackMate file."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TextIO
from xml.sax.saxutils import quoteattr

import numpy as np

from celltrail.data.formats.points import Points, links_of, radii_of

# feature, name, short name, dimension, whole number; as TrackMate itself declares them
SPOT_FEATURES = [
    ("QUALITY", "Quality", "Quality", "QUALITY", False),
    ("POSITION_X", "X", "X", "POSITION", False),
    ("POSITION_Y", "Y", "Y", "POSITION", False),
    ("POSITION_Z", "Z", "Z", "POSITION", False),
    ("POSITION_T", "T", "T", "TIME", False),
    ("FRAME", "Frame", "Frame", "NONE", True),
    ("RADIUS", "Radius", "R", "LENGTH", False),
    ("VISIBILITY", "Visibility", "Visibility", "NONE", True),
]
EDGE_FEATURES = [
    ("SPOT_SOURCE_ID", "Source spot ID", "Source ID", "NONE", True),
    ("SPOT_TARGET_ID", "Target spot ID", "Target ID", "NONE", True),
    ("LINK_COST", "Edge cost", "Cost", "COST", False),
]
TRACK_FEATURES = [
    ("TRACK_INDEX", "Track index", "Index", "NONE", True),
    ("TRACK_ID", "Track ID", "ID", "NONE", True),
    ("NUMBER_SPOTS", "Number of spots in track", "N spots", "NONE", True),
]


def write_trackmate(points: Points, path: Path, *, shape: tuple[int, ...] | None = None) -> None:
    """Write points and links as TrackMate's XML; a lineage is a track, a cell of one frame a spot without a link.

    Positions are in µm and seconds where the scale is known, else in pixels and frames.

    Parameters
    ----------
    shape : tuple[int, ...] | None
        Of the images, (z,) y, x; otherwise just large enough for all cells.
    """
    z, y, x = map(float, points.voxel or (1.0, 1.0, 1.0))
    step = float(points.interval or 1.0)
    span = shape or tuple(np.ceil(points.position[:, 3 - points.ndim :].max(axis=0, initial=0)).astype(int) + 1)
    depth, height, width = (1, *span)[-3:]
    frames = int(points.frame.max(initial=-1)) + 1
    units = (
        f'spatialunits="{"micron" if points.voxel else "pixel"}" timeunits="{"sec" if points.interval else "frame"}"'
    )
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write('<?xml version="1.0" encoding="UTF-8"?>\n<TrackMate version="7.11.1">\n')
        stream.write(f"  <Model {units}>\n    <FeatureDeclarations>\n")
        for name, features in (("Spot", SPOT_FEATURES), ("Edge", EDGE_FEATURES), ("Track", TRACK_FEATURES)):
            stream.write(f"      <{name}Features>\n")
            stream.writelines(_declarations(features))
            stream.write(f"      </{name}Features>\n")
        stream.write("    </FeatureDeclarations>\n")
        _write_spots(stream, points, (z, y, x), step)
        _write_tracks(stream, points)
        stream.write("  </Model>\n  <Settings>\n")
        stream.write(
            f'    <ImageData filename="" folder="" width="{width}" height="{height}" nslices="{depth}" '
            f'nframes="{frames}" pixelwidth="{x!r}" pixelheight="{y!r}" voxeldepth="{z!r}" timeinterval="{step!r}" />\n'
            f'    <BasicSettings xstart="0" xend="{width - 1}" ystart="0" yend="{height - 1}" zstart="0" '
            f'zend="{depth - 1}" tstart="0" tend="{max(frames - 1, 0)}" />\n'
            '    <DetectorSettings DETECTOR_NAME="MANUAL_DETECTOR" RADIUS="5.0" />\n'
            '    <InitialSpotFilter feature="QUALITY" value="0.0" isabove="true" />\n'
            "    <SpotFilterCollection />\n"
            '    <TrackerSettings TRACKER_NAME="MANUAL_TRACKER" />\n'
            "    <TrackFilterCollection />\n"
            "    <AnalyzerCollection />\n"
            '  </Settings>\n  <GUIState state="ConfigureViews" />\n</TrackMate>\n'
        )


def _declarations(features: list[tuple[str, str, str, str, bool]]) -> Iterator[str]:
    for feature, name, short, dimension, whole in features:
        yield (
            f'        <Feature feature="{feature}" name={quoteattr(name)} shortname={quoteattr(short)} '
            f'dimension="{dimension}" isint="{str(whole).lower()}" />\n'
        )


def _write_spots(stream: TextIO, points: Points, voxel: tuple[float, float, float], step: float) -> None:
    stream.write(f'    <AllSpots nspots="{len(points)}">\n')
    radii = (radii_of(points) * voxel[2]).tolist()
    starts = np.flatnonzero(np.diff(points.frame, prepend=-1)).tolist()
    for low, high in pairwise([*starts, len(points)]):
        frame = int(points.frame[low])
        time = frame * step
        stream.write(f'      <SpotsInFrame frame="{frame}">\n')
        stream.writelines(
            f'        <Spot ID="{row}" name="{label}" QUALITY="1.0" POSITION_X="{x!r}" POSITION_Y="{y!r}" '
            f'POSITION_Z="{z!r}" POSITION_T="{time!r}" FRAME="{frame}" RADIUS="{radius!r}" VISIBILITY="1" />\n'
            for row, label, (z, y, x), radius in zip(
                range(low, high),
                points.label[low:high].tolist(),
                (points.position[low:high] * voxel).tolist(),
                radii[low:high],
                strict=True,
            )
        )
        stream.write("      </SpotsInFrame>\n")
    stream.write("    </AllSpots>\n")


def _write_tracks(stream: TextIO, points: Points) -> None:
    links = links_of(points)
    roots = points.tracks.roots()
    lineage = np.array([roots[label] for label in points.label.tolist()], dtype=np.int64)
    of_link = lineage[links[:, 1]]
    order = np.argsort(of_link, kind="stable")
    starts = np.flatnonzero(np.diff(of_link[order], prepend=-1)).tolist()
    spots = dict(zip(*(column.tolist() for column in np.unique(lineage, return_counts=True)), strict=True))
    stream.write("    <AllTracks>\n")
    for index, (low, high) in enumerate(pairwise([*starts, len(order)])):
        root = int(of_link[order[low]])
        stream.write(
            f'      <Track name="Track_{index}" TRACK_INDEX="{index}" TRACK_ID="{index}" NUMBER_SPOTS="{spots[root]}">\n'
        )
        stream.writelines(
            f'        <Edge SPOT_SOURCE_ID="{source}" SPOT_TARGET_ID="{target}" LINK_COST="-1.0" />\n'
            for source, target in links[order[low:high]].tolist()
        )
        stream.write("      </Track>\n")
    stream.write("    </AllTracks>\n    <FilteredTracks>\n")
    stream.writelines(f'      <TrackID TRACK_ID="{index}" />\n' for index in range(len(starts)))
    stream.write("    </FilteredTracks>\n")
