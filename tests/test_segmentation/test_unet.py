"""Sizes, parameters, receptive field and initialisation of the U-Net."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from celltrail.segmentation.net.unet import UNet, crop_center, margin_of, output_size, valid_size  # noqa: E402


def test_paper_network_has_23_convolutions_and_its_parameters() -> None:
    net = UNet()
    convolutions = [m for m in net.modules() if isinstance(m, (torch.nn.Conv2d, torch.nn.ConvTranspose2d))]
    assert len(convolutions) == 23
    assert sum(p.numel() for p in net.parameters()) == 31_030_658


def test_572_gives_388() -> None:
    assert output_size(572, 4) == 388
    assert margin_of(4) == 92
    with torch.no_grad():
        assert UNet(width=1)(torch.zeros(1, 1, 572, 572)).shape == (1, 2, 388, 388)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_valid_sizes_meet_only_even_sides(depth: int) -> None:
    net = UNet(width=2, depth=depth).eval()
    smallest = valid_size(1, depth)
    for size in (smallest, smallest + 2**depth, valid_size(smallest + 3, depth)):
        assert (size + 4) % 2**depth == 0
        with torch.no_grad():
            assert net(torch.zeros(1, 1, size, size)).shape[-1] == output_size(size, depth) == size - 2 * net.margin


def test_paper_sizes_are_12_modulo_16() -> None:
    assert [valid_size(n, 4) for n in (1, 188, 189, 572, 573)] == [188, 188, 204, 572, 588]
    with pytest.raises(ValueError, match="572"):
        output_size(570, 4)


def test_one_output_pixel_sees_as_far_as_the_margin() -> None:
    net = UNet(width=2, depth=2, dropout=0).eval()
    for layer in net.modules():  # every weight positive: no path cancels or dies
        if hasattr(layer, "weight"):
            torch.nn.init.constant_(layer.weight, 0.1)
    size = valid_size(60, 2)
    image = torch.ones(1, 1, size, size, requires_grad=True)
    output = net(image)

    def rows_seen_by(pixel: int) -> tuple[int, int]:
        (gradient,) = torch.autograd.grad(output[0, 1, pixel, 0], image, retain_graph=True)
        rows = torch.nonzero(gradient[0, 0].abs().sum(dim=1)).ravel()
        return int(rows[0]), int(rows[-1])

    side = output.shape[-1]
    for pixel in range(side):
        first, last = rows_seen_by(pixel)
        assert first <= pixel + net.margin <= last  # its own place in the input, `margin` further in
        assert last - first <= 2 * net.margin
    assert rows_seen_by(0)[0] == 0


@pytest.mark.parametrize("kind", ["Conv2d", "ConvTranspose2d"])
def test_he_initialisation_uses_the_true_fan_in(kind: str) -> None:
    torch.manual_seed(0)
    net = UNet(width=32, depth=2)
    layers = [m for m in net.modules() if type(m).__name__ == kind and m.weight.numel() > 5000]
    assert layers
    for layer in layers:
        fan_in = layer.in_channels * (9 if kind == "Conv2d" else 1)  # 2×2 with stride 2: one input pixel per output
        assert float(layer.weight.detach().std()) == pytest.approx((2 / fan_in) ** 0.5, rel=0.05)
        assert float(layer.bias.detach().abs().max()) == 0


def test_signal_keeps_its_size_through_the_up_convolutions() -> None:
    torch.manual_seed(1)
    up = UNet(width=64, depth=2).up[0]
    x = torch.randn(1, 256, 16, 16).relu()
    with torch.no_grad():
        assert float(up(x).square().mean()) == pytest.approx(float(x.square().mean()), rel=0.1)


def test_dropout_stands_before_and_at_the_bottom() -> None:
    net = UNet(width=2, depth=2, dropout=0.5).train()
    seen = []
    net.dropout.register_forward_hook(lambda _, inputs, output: seen.append((inputs[0].shape[1], output)))
    net(torch.rand(1, 1, valid_size(1, 2), valid_size(1, 2)))
    assert [channels for channels, _ in seen] == [4, 8]


def test_distance_head_is_one_more_output() -> None:
    net = UNet(width=2, depth=1, distance=True)
    assert net(torch.zeros(1, 1, 28, 28)).shape == (1, 3, 12, 12)


def test_crop_center() -> None:
    assert crop_center(torch.arange(25).reshape(1, 1, 5, 5), (3, 1)).ravel().tolist() == [7, 12, 17]
