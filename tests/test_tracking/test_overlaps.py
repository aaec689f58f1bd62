"""Two nuclei that lie on each other for a while do not divide; a cell that does, divides, whatever ends beside her."""

from __future__ import annotations

import numpy as np
import pytest

from celltrail.data.graph.candidates import KEPT, NAT
from celltrail.tracking import track
from celltrail.tracking.costs.logistic import Linear
from celltrail.tracking.measuring.beside import add_readings
from celltrail.tracking.measuring.table import measure_movie
from celltrail.tracking.preparing.preparation import prepare
from celltrail.tracking.repairing.finding import find_repairs
from celltrail.tracking.repairing.movie import RepairableMovie, readings_of
from celltrail.tracking.repairing.prices import Prices
from celltrail.tracking.settings import TrackSettings
from celltrail.tracking.solving.solver import solve_candidates


def disk(labels, centre, radius, label):
    """Draw a disk on what is background."""
    y, x = np.ogrid[: labels.shape[0], : labels.shape[1]]
    labels[((y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2) & (labels == 0)] = label


def meeting(frames, *, bystanders):
    """Two nuclei that come near each other, are one mask for some frames, and part again; ten others far from them."""
    rng = np.random.default_rng(frames)
    movie = {}
    for number in range(frames + 10):
        labels = np.zeros((200, 260), np.uint16)
        away = abs(number - (frames + 9) / 2) - (frames - 1) / 2  # frames until they touch; 0 or less: one mask
        y, x = rng.normal((50, 100), 0.4)
        apart = max(16 + 2 * away, 8) if away < 0.1 else 20 + 2 * away
        disk(labels, (y, x - apart / 2), 10, 1)
        disk(labels, (y, x + apart / 2), 8, 1 if away < 0.1 else 2)
        for k in range(10 * bystanders):
            disk(labels, rng.normal((120 + 40 * (k // 5), 30 + 45 * (k % 5)), 0.7), 9, 10 + k)
        movie[number] = labels
    return movie


@pytest.mark.parametrize("bystanders", [False, True])
@pytest.mark.parametrize("frames", [2, 5, 10])
def test_two_nuclei_that_overlap_for_a_while_do_not_divide(frames, bystanders):
    movie = meeting(frames, bystanders=bystanders)
    result = track(movie)
    assert result.run["divisions"] == 0
    assert result.run["repairs"]["merged"] == frames
    assert result.tracks.rows()[:, 1:].tolist() == [[0, frames + 9, 0]] * (2 + 10 * bystanders)
    drawn = dict(result.masks())
    first, last = drawn[0], drawn[frames + 9]
    assert first[50, 80] == last[50, 80] > 0  # each is herself when they part


def nuclei_of(frames, speed, *, sizes, walk, seed=0):
    """Two nuclei that come near each other by ``speed`` pixels a frame, lie on each other, and part; ten others around: for each
    frame the centre, the radius and the label of each."""
    rng = np.random.default_rng([frames, seed])
    others = np.array([(120.0 + 45 * (k // 5), 30.0 + 50 * (k % 5)) for k in range(10)])
    centre, touching = np.array([50.0, 140.0]), sum(sizes) - 1
    for number in range(frames + 10):
        others += rng.normal(0, walk, others.shape)
        centre += rng.normal(0, walk / 2, 2)
        away = abs(number - (frames + 9) / 2) - frames / 2  # below 0: one mask
        apart = max(touching + speed * away, 1) if away < 0 else touching + 2 + speed * away
        y, x = centre
        two = [((y, x - apart / 2), sizes[0], 1), ((y, x + apart / 2), sizes[1], 1 if away < 0 else 2)]
        yield number, two + [(tuple(place), 9, 10 + k) for k, place in enumerate(others)]


def crossing(frames, speed, **options):
    """The masks of `nuclei_of`."""
    movie = {}
    for number, nuclei in nuclei_of(frames, speed, **options):
        movie[number] = np.zeros((220, 300), np.uint16)
        for place, radius, label in nuclei:
            disk(movie[number], place, radius, label)
    return movie


def light_of(frames, speed, **options):
    """The images of `nuclei_of`: the light of nuclei that lie on each other adds up."""
    rng = np.random.default_rng(frames)
    images = {}
    for number, nuclei in nuclei_of(frames, speed, **options):
        images[number] = rng.normal(100, 5, (220, 300))
        for place, radius, _ in nuclei:
            one = np.zeros((220, 300))
            disk(one, place, radius, 80)
            images[number] += one
    return images


@pytest.mark.parametrize(("sizes", "walk"), [((10, 8), 0.5), ((9, 9), 1.5), ((10, 6), 0.5)])
@pytest.mark.parametrize(("speed", "frames"), [(1, 10), (3, 3), (6, 2), (6, 10), (9, 5)])
def test_nuclei_that_hide_each_other_do_not_divide(speed, frames, sizes, walk):
    result = track(crossing(frames, speed, sizes=sizes, walk=walk))
    assert result.run["divisions"] == 0
    assert result.run["repairs"]["merged"] == frames


@pytest.mark.parametrize(("sizes", "walk"), [((10, 8), 0.5), ((9, 9), 1.5), ((10, 6), 0.5)])
@pytest.mark.parametrize(("speed", "frames"), [(1, 10), (3, 3), (6, 2), (6, 10)])
def test_light_that_adds_up_is_no_sign_of_a_division(speed, frames, sizes, walk):
    movie = {"sizes": sizes, "walk": walk}
    result = track(crossing(frames, speed, **movie), images=light_of(frames, speed, **movie))
    assert result.run["divisions"] == 0
    assert result.run["repairs"]["merged"] == frames


@pytest.mark.slow
def test_no_overlap_is_a_division_but_for_the_fastest():
    """Where two near each other by half their width a frame, some are taken for a division, most of them small ones that hide."""
    wrong = {speed: 0 for speed in (1, 3, 6, 9)}
    for sizes in ((10, 8), (9, 9), (10, 6)):
        for walk in (0.5, 1.5):
            for speed in wrong:
                for frames in (2, 3, 5, 8, 10):
                    result = track(crossing(frames, speed, sizes=sizes, walk=walk, seed=1))
                    repairs = result.run["repairs"]
                    assert repairs["merged"] in (0, repairs["considered"])  # one reading in all frames
                    wrong[speed] += result.run["divisions"] > 0
    assert not any(wrong[speed] for speed in (1, 3, 6)), wrong
    assert wrong[9] <= 6  # of 30


def dying_beside(wait, *, dead, grown=1.0, apart=3, walk=0.5):
    """A cell divides after frame 8; ``wait`` frames before, one of radius ``dead`` that touches her is seen for the last
    time (0: there is none). She steps into its place, ``grown`` times as large; her daughters part by ``apart`` a frame."""
    rng = np.random.default_rng([wait, dead])
    movie, others = {}, np.array([(120.0 + 45 * (k // 5), 30.0 + 50 * (k % 5)) for k in range(10)])
    place = np.array([50.0, 140.0])
    for number in range(18):
        others += rng.normal(0, walk, others.shape)
        place += rng.normal(0, walk / 2, 2)
        y, x = place
        labels = np.zeros((220, 300), np.uint16)
        gone = number > 8 - wait
        radius = 10 * np.sqrt(grown) if gone else 10.0
        right = dead if gone else 0
        if number > 8:
            daughter = radius / np.sqrt(2)
            half = daughter + apart * (number - 9) / 2 + 0.5
            disk(labels, (y - half * 0.3, x + right - half * 0.95), daughter, 1)
            disk(labels, (y + half * 0.3, x + right + half * 0.95), daughter, 2)
        else:
            disk(labels, (y, x + right), radius, 1)
        if dead and not gone:
            disk(labels, (y, x + 10 + dead), dead, 3)
        for k, other in enumerate(others):
            disk(labels, other, 9, 10 + k)
        movie[number] = labels
    return movie


@pytest.mark.parametrize(("dead", "grown"), [(0, 1.0), (5, 1.25), (7, 1.0), (7, 1.25), (9, 1.0)])
@pytest.mark.parametrize("wait", [2, 7])
def test_a_cell_that_ends_beside_a_mother_does_not_hide_her_division(wait, dead, grown):
    assert track(dying_beside(wait, dead=dead, grown=grown)).run["divisions"] == 1


@pytest.mark.slow
def test_whatever_ends_beside_her_a_mother_divides():
    wrong = [
        (walk, apart, wait, dead, grown)
        for walk in (0.5, 1.5)
        for apart in (1, 3, 6)
        for wait in (2, 5, 9)
        for dead in (0, 5, 6, 7)
        for grown in (1.0, 1.15, 1.25)
        if track(dying_beside(wait, dead=dead, grown=grown, apart=apart, walk=walk)).run["divisions"] != 1
    ]
    assert not wrong  # of 216


def test_a_nucleus_that_is_gone_at_the_end_is_not_looked_for():
    """Two nuclei are one mask for a while; then only one of them is left, until the end."""
    movie = crossing(4, 3, sizes=(10, 8), walk=0.5)
    movie = {n: np.where(labels == 2, 0, labels) if n > 8 else labels for n, labels in movie.items()}
    assert find_repairs(movie, measure_movie(movie)) == []
    movie = {n: labels for n, labels in movie.items() if n < 8}  # still one mask of two
    repairs = find_repairs(movie, measure_movie(movie))
    assert {repair.frame for repair in repairs} == {5, 6, 7}
    assert {repair.look["open"] for repair in repairs} == {1.0}  # nobody has seen them part: that makes it dearer
    back = find_repairs(masks := crossing(4, 3, sizes=(10, 8), walk=0.5), measure_movie(masks))
    assert {repair.look["open"] for repair in back} == {0.0}
    assert sum(repair.price for repair in back) < sum(repair.price for repair in repairs)


def test_what_lasts_speaks_for_neither_reading():
    """However long two cells that stay are one mask, the other reading gains about the same: half a nat a frame at most."""
    gains = []
    for frames in (3, 6, 10):
        movie = meeting(frames, bystanders=True)
        table = measure_movie(movie)
        repairs = find_repairs(movie, table, Prices(Linear(0.0, {}), Linear(0.0, {})))
        whole = add_readings(table, readings_of(repairs, table), RepairableMovie(movie, repairs))
        candidates = prepare(whole, solve_candidates, TrackSettings(max_gap=0)).candidates
        masks = np.setdiff1d(whole.clique_row, np.flatnonzero(whole.beside))
        read = solve_candidates(candidates).objective
        candidates.detections.fixed[masks] = KEPT
        gains.append((solve_candidates(candidates).objective - read) / NAT)
    assert min(gains) > 0
    assert max(gains) - min(gains) < 3.5
