"""How unlikely it is that some masks are wrong, told from how they look: learned from masks that were damaged on purpose.

The price is what the links around must gain before the other reading of the masks is likelier than the masks
(``benchmarks/wrong_masks.py`` learns it, with every data set left out once).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from celltrail.tracking.costs.logistic import Linear

Look = Mapping[str, float]


@dataclass(frozen=True)
class Prices:
    """Nats for each kind of error, as a sum over how it looks."""

    merged: Linear
    split: Linear

    def of(self, kind: str, look: Look) -> float:
        """The price of an event, never less than nothing: a mask is believed unless the links speak against it."""
        linear = self.merged if kind == "merged" else self.split
        return max(
            linear.intercept + sum(linear.coefficients.get(name, 0.0) * value for name, value in look.items()), 0.0
        )


@cache
def load_prices() -> Prices:
    """Those that come with Celltrail."""
    content = json.loads((files("celltrail.tracking.repairing") / "prices.json").read_text(encoding="utf-8"))
    merged, split = (Linear(content[kind]["intercept"], content[kind]["coefficients"]) for kind in ("merged", "split"))
    return Prices(merged, split)
