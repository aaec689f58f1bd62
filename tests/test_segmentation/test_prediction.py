"""Tiles fit together exactly, whatever their size and the image's."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from celltrail.data.errors import InputError  # noqa: E402
from celltrail.segmentation.net.model import Model, Preprocessing  # noqa: E402
from celltrail.segmentation.net.unet import UNet, valid_size  # noqa: E402
from celltrail.segmentation.prediction.grey import grey_limits, normalise  # noqa: E402
from celltrail.segmentation.prediction.tiles import (  # noqa: E402
    choose_tile,
    eightfold,
    enlarge_map,
    predict,
    reduce_image,
    run_tiles,
    to_maps,
)


def random_net(norm: str, depth: int = 2, *, distance: bool = True) -> UNet:
    """A net with random weights, and random statistics where it normalises."""
    torch.manual_seed(4)
    net = UNet(width=4, depth=depth, norm=norm, distance=distance)  # type: ignore[arg-type]
    for layer in net.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(layer.running_mean, -0.2, 0.2)
            torch.nn.init.uniform_(layer.running_var, 0.5, 2)
    return net.eval()


@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize("shape", [(61, 97), (64, 64), (37, 150)])
def test_tiled_equals_whole(norm: str, shape: tuple[int, int]) -> None:
    net = random_net(norm, distance=False)
    plane = np.random.default_rng(0).random(shape, dtype=np.float32)
    whole = run_tiles(net, plane, tuple(valid_size(n + 2 * net.margin, net.depth) for n in shape))
    for side in (valid_size(2 * net.margin + 4, 2), 60, 68):
        tiled = to_maps(net, run_tiles(net, plane, (side, side)))
        np.testing.assert_allclose(tiled, to_maps(net, whole), atol=1e-6)


def test_the_distance_is_lower_near_other_cells() -> None:
    """A logit of ln 3 is a nearness of ¾, which leaves a quarter of the distance."""
    net = UNet(width=2, depth=1, distance=True, neighbour=True)
    output = np.zeros((4, 1, 3), dtype=np.float32)
    output[2], output[3] = [0.8, 0.8, 1.5], [-100, np.log(3), -100]
    np.testing.assert_allclose(to_maps(net, output)[1], [[0.8, 0.2, 1.0]], rtol=1e-6)


def test_paper_network_tiled_equals_whole() -> None:
    net = random_net("none", depth=4, distance=False)
    plane = np.random.default_rng(1).random((300, 260), dtype=np.float32)
    whole = run_tiles(net, plane, choose_tile(plane.shape, net, 10_000))
    tiled = to_maps(net, run_tiles(net, plane, (252, 252)))
    np.testing.assert_allclose(tiled, to_maps(net, whole), atol=1e-6)


def test_a_stride_off_the_pooling_grid_would_show_seams() -> None:
    """The paper's own stride of 388 is no multiple of 16: the reason why the stride is rounded down."""
    net = random_net("none")
    plane = np.random.default_rng(0).random((120, 60), dtype=np.float32)
    whole = run_tiles(net, plane, choose_tile(plane.shape, net, 10_000))
    shifted = run_tiles(net, plane[2:], choose_tile((118, 60), net, 10_000))
    inner = slice(net.margin, -net.margin)
    assert np.abs(whole[:, 2:][:, inner] - shifted[:, inner]).max() > 1e-3
    on_grid = run_tiles(net, plane[4:], choose_tile((116, 60), net, 10_000))
    np.testing.assert_allclose(whole[:, 4:][:, inner], on_grid[:, inner], atol=1e-5)


def test_memory_changes_tiles_but_not_the_result() -> None:
    net = random_net("batch")
    model = Model(net, Preprocessing(scale=2))
    image = np.random.default_rng(3).integers(30_000, 33_000, (260, 311)).astype(np.uint16)
    large, small = predict(model, image), predict(model, image, memory_mb=1)
    assert choose_tile((130, 156), net, 1) != choose_tile((130, 156), net, 1024)
    np.testing.assert_allclose(large.probability, small.probability, atol=1e-6)
    np.testing.assert_allclose(large.distance, small.distance, atol=3e-6)  # raw numbers of a random net, not 0 … 1
    assert large.probability.shape == image.shape


def test_tiles_never_exceed_the_memory_by_much() -> None:
    net = UNet(width=16, depth=3)
    sides = choose_tile((10_000, 10_000), net, 512)
    assert sides[0] * sides[1] * 40 * 16 <= 512 * 2**20
    assert sides[0] > 500


@pytest.mark.parametrize("depth", [2, 3])
@pytest.mark.parametrize("memory_mb", [4, 60, 1024])
@pytest.mark.parametrize("shape", [(5, 5), (128, 128), (1024, 700), (3000, 40)])
def test_tiles_are_equal_parts_of_the_image(shape: tuple[int, int], memory_mb: float, depth: int) -> None:
    """Equal parts, rounded up to the pooling grid and no further."""
    net = UNet(width=8, depth=depth)
    border, step = 2 * net.margin, 2**depth
    for length, side in zip(shape, choose_tile(shape, net, memory_mb), strict=True):
        assert side == valid_size(side, depth)
        assert side <= valid_size(length + border, depth)
        useful = side - border
        if useful < length:
            stride = useful // step * step
            parts = -(-(length - useful) // stride) + 1
            assert stride * parts - length < step * parts or stride == 2 * step


def test_an_image_of_a_few_margins_is_one_tile_and_a_large_one_is_not() -> None:
    net = UNet(width=16, depth=3)
    assert choose_tile((512, 300), net, 1024) == (valid_size(600, 3), valid_size(388, 3))
    assert max(choose_tile((5000, 5000), net, 100_000)) < 20 * net.margin


def test_eightfold_average_of_a_turned_image_is_the_turned_average() -> None:
    net = random_net("none")
    plane = np.random.default_rng(5).random((40, 52), dtype=np.float32)
    straight = eightfold(net, plane, 1024)
    turned = eightfold(net, np.ascontiguousarray(np.rot90(plane)), 1024)
    np.testing.assert_allclose(np.rot90(straight, axes=(1, 2)), turned, atol=1e-5)


def test_stack_is_predicted_slice_by_slice() -> None:
    model = Model(random_net("none"))
    stack = np.random.default_rng(6).random((2, 30, 30)).astype(np.float32)
    stack[:, 0, 0], stack[:, 0, 1] = 0, 1  # equal percentiles, so that a slice alone is scaled alike
    model.preprocessing = Preprocessing(low=0, high=100)
    together = predict(model, stack)
    assert together.probability.shape == stack.shape
    np.testing.assert_allclose(together.probability[1], predict(model, stack[1]).probability, atol=1e-6)


def test_percentiles_do_not_depend_on_offset_and_gain() -> None:
    image = np.random.default_rng(7).random((50, 50)) * 100
    other = image * 7 + 32_768
    scaled = normalise(image, grey_limits(image, 1, 99))
    np.testing.assert_allclose(scaled, normalise(other, grey_limits(other, 1, 99)), atol=1e-4)
    flat = np.full((9, 9), 5, dtype=np.uint16)
    assert not normalise(flat, grey_limits(flat, 1, 99)).any()


def test_reduce_and_enlarge_keep_places() -> None:
    x = np.mgrid[:22, :31][1].astype(np.float32)
    back = enlarge_map(reduce_image(x, 4), 4, (22, 31))
    assert back.shape == (22, 31)
    np.testing.assert_allclose(back[:, 4:24], x[:, 4:24], atol=1e-4)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.full((40, 40), np.nan), "no finite value"),
        (np.zeros((2, 2, 40, 40)), "dimensions"),
    ],
)
def test_images_that_cannot_be_used(image: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        predict(Model(random_net("none")), image)


def test_a_model_may_ask_for_eight_views() -> None:
    net = random_net("none")
    image = np.random.default_rng(8).random((40, 44))
    plain, eight = Model(net, Preprocessing()), Model(net, Preprocessing(tta=True))
    assert np.array_equal(predict(plain, image, tta=True).probability, predict(eight, image).probability)
    assert np.array_equal(predict(plain, image).probability, predict(eight, image, tta=False).probability)
    assert not np.array_equal(predict(plain, image).probability, predict(eight, image).probability)


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (8, 200), (200, 2), (2, 5, 6)])
@pytest.mark.parametrize("factor", [0.3, 1.0, 3.0])
def test_images_smaller_than_a_tile(shape: tuple[int, ...], factor: float) -> None:
    image = np.random.default_rng(9).integers(0, 99, shape).astype(np.uint8)
    assert (
        predict(Model(random_net("none", depth=3), Preprocessing(scale=2)), image, factor=factor).probability.shape
        == shape
    )


def test_an_enlarged_picture_seen_reduced_is_the_picture() -> None:
    model = Model(random_net("none"))
    y, x = np.mgrid[:40, :52].astype(np.float32)  # smooth: resizing keeps it
    small = (np.sin(y / 5) * np.cos(x / 7) + 1) / 2
    large = np.kron(small, np.ones((2, 2), np.float32))
    seen = predict(model, large, factor=0.5, limits=(0, 1)).probability
    middle = seen[::2, ::2] + seen[1::2, ::2] + seen[::2, 1::2] + seen[1::2, 1::2]
    plain = predict(model, small, limits=(0, 1)).probability
    assert np.corrcoef(middle.ravel(), plain.ravel())[0, 1] > 0.85  # the filter of the resizing rounds peaks
    for shift, axis in ((1, 0), (-1, 0), (1, 1), (-1, 1)):  # and nothing has moved
        moved = np.roll(middle, shift, axis)
        assert np.abs(moved - 4 * plain)[2:-2, 2:-2].mean() > np.abs(middle - 4 * plain)[2:-2, 2:-2].mean()
