"""Names of the arrays that go from hand to hand: what an element is. Shapes stand where they are used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]
LabelArray = NDArray[np.int32]
RowArray = NDArray[np.signedinteger[Any]]  # rows of a table, int32 where there are many
Codes = NDArray[np.signedinteger[Any]]  # a small number per row, int8 where there are many
Masks = Mapping[int, NDArray[Any]]  # frame number → label image; a plain dict will do
