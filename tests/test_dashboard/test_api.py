"""The routes that feed the viewer: exact labels, known ids only, bounded memory."""

from __future__ import annotations

import io
import json
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from starlette.applications import Starlette

from celltrail.dashboard.opening import content, registry
from celltrail.dashboard.opening.cache import ByteCache
from celltrail.dashboard.serving import api
from celltrail.data import open_images, open_labels, read_tracks
from celltrail.data.writing.output import output_folder
from celltrail.tracking import track, write_result

STEPS = (  # up, in every way that somebody has taken for it
    *("..", "%2e%2e", "%252e%252e", "..%2f", "..%5c", "..\\", "....//", "..;", ".%00.", "..%c1%9c", "%c0%ae%c0%ae"),
    "%u002e%u002e",
)
APP = Starlette(routes=api.ROUTES)


def get(address: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of a GET request, without a server."""
    path, _, query = address.partition("?")
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": query.encode(),
        "headers": [],
        "http_version": "1.1",
        "scheme": "http",
        "server": ("127.0.0.1", 80),
        "root_path": "",
    }
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    anyio.run(APP, scope, receive, send)
    headers = {key.decode(): value.decode() for key, value in sent[0]["headers"]}
    return sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent[1:])


def decode_labels(body: bytes) -> np.ndarray:
    raw = zlib.decompress(body, 31)
    itemsize, height, width = np.frombuffer(raw, "<i4", 3)
    return np.frombuffer(raw, f"<u{itemsize}", offset=12).reshape(height, width)


@pytest.fixture
def movie(dataset: Path) -> registry.Movie:
    return registry.open_dataset(dataset).movies[0]


def test_labels_arrive_without_loss(movie: registry.Movie, dataset: Path) -> None:
    layer = movie.results[0]
    status, headers, body = get(f"/api/layers/{layer.id}/frames/5")
    assert (status, headers["content-encoding"]) == (200, "gzip")
    np.testing.assert_array_equal(decode_labels(body), open_labels(dataset / "01_RES")[5])


@given(arrays(st.sampled_from([np.uint8, np.uint16, np.uint32]), array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_encoded_labels_are_exact(labels: np.ndarray) -> None:
    np.testing.assert_array_equal(decode_labels(api.encode_labels(labels)), labels)


def test_a_crop_and_a_reduced_level_are_pieces_of_the_frame(movie: registry.Movie, dataset: Path) -> None:
    labels = open_labels(dataset / "01_RES")[2]
    address = f"/api/layers/{movie.results[0].id}/frames/2"
    np.testing.assert_array_equal(decode_labels(get(f"{address}?crop=10,20,50,90")[2]), labels[10:50, 20:90])
    np.testing.assert_array_equal(decode_labels(get(f"{address}?step=4")[2]), labels[2::4, 2::4])


def test_images_are_grey_and_close_to_the_frame(movie: registry.Movie, dataset: Path) -> None:
    status, headers, body = get(f"/api/movies/{movie.id}/frames/0")
    assert (status, headers["content-type"]) == (200, "image/jpeg")
    shown = imagecodecs.jpeg8_decode(body)
    image = open_images(dataset / "01")[0].astype(float)
    assert shown.shape == image.shape
    assert np.corrcoef(shown.ravel(), image.ravel())[0, 1] > 0.9


def test_shrinking_takes_means_of_blocks() -> None:
    image = np.array([[0, 2, 10], [4, 6, 10], [1, 1, 7]])
    np.testing.assert_allclose(api.shrink_mean(image, 2), [[3, 10], [1, 7]])


def test_volumes_are_shown_by_plane_or_from_above() -> None:
    volume = np.stack([np.full((2, 2), 3), np.full((2, 2), 7)])
    assert api.flat_plane(volume, "0")[0, 0] == 3
    assert api.flat_plane(volume, "max")[0, 0] == 7
    with pytest.raises(KeyError):
        api.flat_plane(volume, "2")


def test_the_table_of_tracks(movie: registry.Movie, dataset: Path) -> None:
    table = json.loads(get(f"/api/layers/{movie.results[0].id}/tracks")[2])
    tracks = read_tracks(dataset / "01_RES" / "res_track.txt")
    assert table["label"] == tracks.label.tolist()
    assert table["parent"] == tracks.parent.tolist()
    assert all(len(colour) == 7 and colour.startswith("#") for colour in table["colour"])


@pytest.mark.parametrize(
    "address",
    [
        "/api/movies/000000000000/frames/0",
        "/api/movies/../../etc/passwd/frames/0",
        "/api/movies/%2e%2e%2f%2e%2e/frames/0",
        "/api/layers/000000000000/tracks",
        "/api/viewer/..%2fapi.py",
        "/api/viewer/../api.py",
        "/api/viewer/__init__.py",
        "/api/viewer/viewer.html",
        *(f"/api/viewer/{step}/{step}/etc/passwd" for step in STEPS),
        *(f"/api/layers/{step}/{step}/secret/frames/0" for step in STEPS),
        *(f"/api/movies/{step}/frames/{step}" for step in STEPS),
        "/api/",
        "/api/nothing",
        "/api/layers/\0/tracks",
        "/api/movies/" + "9" * 5000 + "/frames/0",
    ],
)
def test_unknown_addresses_are_refused(address: str) -> None:
    assert get(address)[0] == 404


def test_wrong_questions_are_refused(movie: registry.Movie) -> None:
    base = f"/api/movies/{movie.id}/frames"
    assert get(f"{base}/999")[0] == 404
    for query in ("step=0", "step=1000000", "step=x", "crop=1,2,3", "crop=5,5,5,9", "crop=-1,0,5,5", "z=x"):
        status, _, body = get(f"{base}/0?{query}")
        assert status == 400, query
        assert b"Traceback" not in body


@pytest.mark.parametrize("many", ["9" * 5000, "1" * 30, "-1", "0x1", "1.5", "%D9%A3", "nan", "1e300", "%00"])
def test_absurd_numbers_are_told_apart_from_frames(movie: registry.Movie, many: str) -> None:
    """Whatever stands in an address, the answer is 4xx, and no error reaches the server."""
    image, layer = f"/api/movies/{movie.id}/frames", f"/api/layers/{movie.results[0].id}"
    asked = [f"{image}/{many}", f"{layer}/frames/{many}", f"{layer}/tracks?by={many}", f"/api/viewer/{many}"]
    for base in (f"{image}/0", f"{layer}/frames/0"):
        asked += [f"{base}?step={many}x", f"{base}?z={many}z", f"{base}?crop={many},0,{many},{many}"]
        asked += [f"{base}?crop=100000,0,200000,9", f"{base}?crop=0,{10**40},9,{10**41}"]
    assert {address: get(address)[0] // 100 for address in asked} == dict.fromkeys(asked, 4)


def test_a_header_that_claims_too_much_is_refused(copy_of: Path) -> None:
    good = io.BytesIO()
    tifffile.imwrite(good, np.zeros((8, 8), np.uint16))
    data = bytearray(good.getvalue())
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        for name in ("ImageWidth", "ImageLength"):
            offset = tiff.pages[0].tags[name].valueoffset
            size = 2 if tiff.pages[0].tags[name].dtype == 3 else 4
            data[offset : offset + size] = (60_000).to_bytes(size, "little")
    for file in (copy_of / "01_RES").glob("mask*.tif"):
        file.write_bytes(data)
    layer = registry.open_dataset(copy_of).movies[0].results[0]
    status, _, body = get(f"/api/layers/{layer.id}/frames/0")
    assert status == 422
    assert b"declares" in body


def test_scripts_are_served_as_scripts() -> None:
    status, headers, body = get("/api/viewer/viewer.js")
    assert (status, headers["content-type"]) == (200, "text/javascript; charset=utf-8")
    assert b"export function mount" in body


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 40))))
def test_the_cache_never_holds_more_than_its_limit(calls: list[tuple[int, int]]) -> None:
    cache = ByteCache(100)
    lengths: dict[int, int] = {}
    make: Callable[[int], Callable[[], bytes]] = lambda size: lambda: bytes(size)  # noqa: E731
    for key, size in calls:
        size = lengths.setdefault(key, size)
        assert len(cache.get(key, make(size))) == size
        assert cache.size <= 100


def test_the_cache_drops_what_was_not_used_for_longest() -> None:
    cache, made = ByteCache(10), []

    def get_it(key: str) -> None:
        cache.get(key, lambda: made.append(key) or bytes(4))

    for key in ("a", "b", "a", "c", "a", "b"):
        get_it(key)
    assert made == ["a", "b", "c", "b"]  # "b" went when "c" came, because "a" had been used since


def test_of_a_result_that_is_replaced_meanwhile_the_new_one_is_served(
    copy_of: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tracks of the old result with the cells of the new one would be neither."""
    movie, few = registry.open_dataset(copy_of).movies[0], open_labels(copy_of / "01_RES", frames=(0, 5))
    write_result(track(few), copy_of / "few")
    expected = read_tracks(copy_of / "few" / "res_track.txt").label.tolist()
    original, asked = content.track_feature, []

    def replaced_meanwhile(result: content.Result, name: str) -> dict[int, float]:
        asked.append(len(result.tracks))
        if len(asked) == 1:
            with output_folder(copy_of / "01_RES", overwrite=True) as work:
                shutil.copytree(copy_of / "few", work, dirs_exist_ok=True)
        return original(result, name)

    monkeypatch.setattr(content, "track_feature", replaced_meanwhile)
    status, _, body = get(f"/api/layers/{movie.results[0].id}/tracks?by=area")
    assert (status, json.loads(body)["label"]) == (200, expected)
    assert len(asked) == 2
