"""HTTP routes that feed the viewer: grey frames as JPEG, labels without loss, tracks, and the viewer's own scripts.

Only registered ids are served, and only their frames: an address holds no path. Answers carry the
version of the folder in their address, so a browser may keep them for good.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import imagecodecs
import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from celltrail.dashboard.judging.lineage_layout import arrange
from celltrail.dashboard.opening import content, registry
from celltrail.dashboard.opening.cache import ByteCache
from celltrail.data import InputError
from celltrail.data.errors import Replaced
from celltrail.data.held import read_whole
from celltrail.data.pictures.render import flatten_stack, grey_picture

SCRIPTS = Path(__file__).parents[1] / "viewer"
CACHE = ByteCache(256 * 2**20)
FOR_GOOD = {"Cache-Control": "private, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
FRESH = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
Crop = tuple[int, int, int, int]


@lru_cache(maxsize=1)
def _limiter() -> anyio.CapacityLimiter:
    return anyio.CapacityLimiter(2)  # decoding is heavy; more at once only makes each later


async def _answer(make: Callable[[], Response]) -> Response:
    """Run ``make`` in a thread; an unknown id is 404, a wrong question 400, a file that cannot be shown 422."""
    try:
        return await anyio.to_thread.run_sync(partial(read_whole, make), limiter=_limiter())
    except (Replaced, FileNotFoundError):
        return JSONResponse({"problems": ["These files are being replaced."]}, 503, FRESH)  # the viewer asks again
    except KeyError:
        return JSONResponse({"problems": ["There is no such frame or data set here."]}, 404, FRESH)
    except InputError as error:
        return JSONResponse({"problems": list(error.problems)}, 422, FRESH)
    except ValueError as error:
        return JSONResponse({"problems": [f"The address is wrong: {error}."]}, 400, FRESH)
    except OSError as error:
        return JSONResponse({"problems": [f"The file cannot be read ({error.strerror})."]}, 422, FRESH)


def _view(request: Request) -> tuple[str, int, Crop | None]:
    """Plane ("max" or a number), step between pixels, and crop (y0, x0, y1, x1) from the query."""
    query = request.query_params
    plane = query.get("z", "max")
    if plane != "max":
        plane = str(int(plane))
    step = int(query.get("step", "1"))
    if not 1 <= step <= 64:
        raise ValueError("step must lie between 1 and 64")
    crop = None
    if "crop" in query:
        y0, x0, y1, x1 = (int(part) for part in query["crop"].split(","))
        if not (0 <= y0 < y1 and 0 <= x0 < x1):
            raise ValueError("crop must be y0,x0,y1,x1")
        crop = (y0, x0, y1, x1)
    return plane, step, crop


def _frame(request: Request) -> int:
    """The frame number of the address; ``KeyError`` where it is none."""
    text = request.path_params["frame"]
    if not (text.isdecimal() and len(text) < 10):
        raise KeyError(text)
    return int(text)


def _cropped(plane: NDArray[Any], crop: Crop | None) -> NDArray[Any]:
    """The part of a plane (Y, X) that is asked for; ``ValueError`` where nothing of it is inside."""
    if crop is None:
        return plane
    if crop[0] >= plane.shape[0] or crop[1] >= plane.shape[1]:
        raise ValueError("crop lies outside of the image")
    return plane[crop[0] : crop[2], crop[1] : crop[3]]


def flat_plane(array: NDArray[Any], plane: str, *, labels: bool = False) -> NDArray[Any]:
    """A plane of a volume, or the volume seen from above; a 2D frame as it is. ``KeyError`` beyond the volume."""
    if array.ndim == 2 or plane == "max":
        return flatten_stack(array, labels=labels)
    if not 0 <= int(plane) < len(array):
        raise KeyError(plane)
    chosen: NDArray[Any] = array[int(plane)]
    return chosen


def shrink_mean(image: NDArray[Any], step: int) -> NDArray[np.float32]:
    """Mean of blocks of ``step`` × ``step`` pixels; blocks at the far edges may be smaller."""
    if step == 1:
        return image.astype(np.float32)
    height, width = image.shape
    padded = np.pad(image.astype(np.float32), ((0, -height % step), (0, -width % step)), mode="edge")
    blocks = padded.reshape(padded.shape[0] // step, step, padded.shape[1] // step, step)
    means: NDArray[np.float32] = blocks.mean(axis=(1, 3))
    return means


def encode_image(image: NDArray[Any], limits: tuple[float, float]) -> bytes:
    """A grey image as JPEG, between these black and white points."""
    return bytes(imagecodecs.jpeg8_encode(grey_picture(image, limits), level=90))


def encode_labels(labels: NDArray[np.integer[Any]]) -> bytes:
    """Label image as gzip of: bytes per pixel, height, width (int32 each), then little-endian pixels."""
    kind = "<u2" if int(labels.max(initial=0)) < 2**16 else "<u4"
    head = np.array([np.dtype(kind).itemsize, *labels.shape], dtype="<i4").tobytes()
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    return packer.compress(head + np.ascontiguousarray(labels, dtype=kind).tobytes()) + packer.flush()


async def image_frame(request: Request) -> Response:
    """One frame of a movie as grey JPEG."""

    def make() -> Response:
        movie, number = registry.movie(request.path_params["movie"]), _frame(request)
        plane, step, crop = _view(request)
        frames = content.open_movie(movie)
        if frames is None or number not in frames:
            raise KeyError(number)

        def encode() -> bytes:
            image = _cropped(flat_plane(frames[number], plane), crop)
            return encode_image(shrink_mean(image, step), content.grey_range(movie))

        assert movie.images is not None
        key = (movie.id, content.images_stamp(movie), number, plane, step, crop)
        return Response(CACHE.get(key, encode), media_type="image/jpeg", headers=FOR_GOOD)

    return await _answer(make)


async def label_frame(request: Request) -> Response:
    """One frame of labels, without loss."""

    def make() -> Response:
        layer, number = registry.layer(request.path_params["layer"]), _frame(request)
        plane, step, crop = _view(request)
        frames = content.open_result(layer).labels
        if number not in frames:
            raise KeyError(number)

        def encode() -> bytes:
            labels = _cropped(flat_plane(frames[number], plane, labels=True), crop)
            return encode_labels(labels[step // 2 :: step, step // 2 :: step] if step > 1 else labels)

        key = (layer.id, content.stamp(layer.folder), number, plane, step, crop)
        headers = FOR_GOOD | {"Content-Encoding": "gzip"}
        return Response(CACHE.get(key, encode), media_type="application/octet-stream", headers=headers)

    return await _answer(make)


async def track_table(request: Request) -> Response:
    """Label, first and last frame, parent, place in the tree and colour of every track, as columns."""

    def make() -> Response:
        layer = registry.layer(request.path_params["layer"])
        result = content.open_result(layer)
        by = request.query_params.get("by", "track")
        if by not in content.FEATURES:
            raise ValueError("by must be one of " + ", ".join(content.FEATURES))
        tracks = result.tracks

        def encode() -> bytes:
            # Certainty is that of each cell: a track is sure but for the cells that are listed.
            cells = content.uncertain_cells(result) if by == "certainty" else []
            sure = by == "certainty" and "certainty" in content.features_of(result)
            colours = {} if sure else content.colours_by(result, by)
            quiet = content.SURE_COLOUR if sure else content.QUIET
            layout = arrange(tracks)
            columns = {
                "label": tracks.label.tolist(),
                "begin": tracks.begin.tolist(),
                "end": tracks.end.tolist(),
                "parent": tracks.parent.tolist(),
                "row": layout.row.tolist(),
                "root": layout.root.tolist(),
                "colour": [colours.get(label, quiet) for label in tracks.label.tolist()],
                "cells": cells,
            }
            return json.dumps(columns, separators=(",", ":")).encode()

        body = CACHE.get((layer.id, content.stamp(layer.folder), "tracks", by), encode)
        return Response(body, media_type="application/json", headers=FOR_GOOD)

    return await _answer(make)


async def nothing(_: Request) -> Response:
    """Any other address below ``/api``: no page."""
    return JSONResponse({"problems": ["There is no such address."]}, 404, FRESH)


async def script(request: Request) -> Response:
    """The viewer's own scripts."""
    path = SCRIPTS / request.path_params["name"]
    if path.suffix != ".js" or path.name not in {file.name for file in SCRIPTS.glob("*.js")}:
        return JSONResponse({"problems": ["There is no such script."]}, 404, FRESH)
    return Response(path.read_bytes(), media_type="text/javascript", headers=FRESH)


ROUTES: list[BaseRoute] = [
    Route("/api/movies/{movie}/frames/{frame}", image_frame),
    Route("/api/layers/{layer}/frames/{frame}", label_frame),
    Route("/api/layers/{layer}/tracks", track_table),
    Route("/api/viewer/{name}", script),
    Route("/api/{rest:path}", nothing),
]
