"""Large images in blocks: the same cells as in one piece."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from celltrail.data.simulation.scene import simulate_scene  # noqa: E402
from celltrail.segmentation import load_model  # noqa: E402
from celltrail.segmentation.net.instance_settings import scaled_settings  # noqa: E402
from celltrail.segmentation.prediction.blocks import _remove_small_rows, label_in_blocks  # noqa: E402
from celltrail.segmentation.prediction.hypotheses import label_cells  # noqa: E402
from celltrail.segmentation.prediction.instances import remove_small  # noqa: E402
from celltrail.segmentation.prediction.tiles import predict  # noqa: E402


@pytest.mark.parametrize("block", [100, 160])
def test_blocks_give_the_cells_of_the_whole_image(block: int) -> None:
    torch.set_num_threads(1)
    image, truth = simulate_scene(frames=1, cells=35, size=(330, 290), seed=3).draw(0)
    model = load_model("sim-fluo")
    whole = label_cells(predict(model, image), model.instances)
    pieces = label_in_blocks(model, image, block=block, overlap=48)
    assert pieces.max() == len(np.unique(pieces)) - 1
    assert abs(int(pieces.max()) - int(whole.max())) <= 1
    same_edges = (pieces[1:] == pieces[:-1]) == (whole[1:] == whole[:-1])
    assert same_edges.mean() > 0.995
    assert ((pieces > 0) == (truth > 0)).mean() > 0.97


def test_reduced_images_have_blocks_of_their_own_pixels() -> None:
    torch.set_num_threads(1)
    image, _ = simulate_scene(frames=1, cells=20, size=(260, 240), seed=3).draw(0)
    model, large = load_model("sim-fluo"), image.repeat(2, 0).repeat(2, 1)
    whole = label_cells(predict(model, large, factor=0.5), scaled_settings(model.instances, 0.5))
    pieces = label_in_blocks(model, large, block=200, overlap=100, factor=0.5)
    assert abs(int(pieces.max()) - int(whole.max())) <= 1
    assert ((pieces > 0) == (whole > 0)).mean() > 0.995


def test_an_image_without_cells_has_none_in_blocks() -> None:
    assert not label_in_blocks(load_model("sim-fluo"), np.zeros((150, 150), np.uint16), block=64, overlap=16).any()


@pytest.mark.parametrize("rows", [1, 3, 50])
def test_small_objects_are_removed_rows_by_rows_as_at_once(rows: int) -> None:
    labels = np.random.default_rng(0).integers(0, 9, (20, 15)).astype(np.int32)
    labels[labels == 4] = 0  # a number that no object has
    labels[3:12, 2:9] = 5
    expected = remove_small(labels, 40)
    _remove_small_rows(labels, 8, 40, rows)
    assert np.array_equal(labels, expected)
