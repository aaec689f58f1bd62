"""Reading a CSV of numbers, whatever separates its columns and its decimals."""

from __future__ import annotations

import re
import warnings
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from celltrail.data.errors import InputError
from celltrail.data.regular import refuse_special
from celltrail.data.settings import LARGEST
from celltrail.data.types import FloatArray, IntArray
from celltrail.data.words import counted

if TYPE_CHECKING:
    import pandas as pd


NOTHING = ("", "nan", "none", "null", "na", "<na>")  # how programs write that a cell of a table is empty
WIDEST = 10_000  # columns; every further one would take as long to read as a thousand cells


def plain(name: str) -> str:
    """A name without capitals, blanks and underscores: "Track ID", "track_id" and "TrackID" are one."""
    return re.sub(r"[\s_\-]+", "", str(name).strip().lower())


def separator(header: str) -> str:
    """What separates the columns: semicolons, tabs, commas, or blanks as in the tables that btrack itself exports."""
    for mark in (";", "\t", ","):
        if mark in header:
            return mark
    return r"\s+" if len(header.split()) > 3 else ","


def read_csv(path: Path) -> pd.DataFrame:
    """Read a table; columns that hold nothing but numbers are numbers (NaN where they are empty), all others text.

    Columns are separated by commas, semicolons, tabs or blanks; where it is not commas, a comma is read as a decimal
    point. A table that TrackMate wrote has further rows of names and units below its header: they are left out, and the
    last one is ``table.attrs["units"]``, column → text.

    Raises
    ------
    InputError
        If the file is missing or is no table.
    """
    import pandas as pd

    try:
        refuse_special(path)
        with path.open(encoding="utf-8-sig") as stream:
            lines = list(islice(stream, 4))
        mark = separator((lines or [""])[0].strip())
        if lines and lines[0].count(mark) >= WIDEST:
            raise InputError(
                f"{path} has more than {counted(WIDEST, 'column')}, which no table of cells has: give another file."
            )
        blanks = any(f"{mark} " in line for line in lines)  # to look for them takes time
        options: dict[str, Any] = {"sep": mark, "encoding": "utf-8-sig", "skipinitialspace": blanks}
        top: pd.DataFrame = pd.read_csv(path, dtype=str, nrows=3, keep_default_na=False, **options)
        heads = _rows_of_names(top)
        below = range(1, heads + 1) if heads else None
        with warnings.catch_warnings():  # a column of numbers and texts is told apart below
            warnings.simplefilter("ignore", pd.errors.DtypeWarning)
            table: pd.DataFrame = pd.read_csv(path, skiprows=below, decimal="." if mark == "," else ",", **options)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: give a table of points as CSV.") from None
    except InputError:
        raise
    except (UnicodeDecodeError, OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        text = " ".join(str(error).split())[:80]
        raise InputError(f"{path} is not a table ({text}): save it as CSV with commas, in UTF-8.") from None
    if not isinstance(table.index, pd.RangeIndex):
        raise InputError(f"{path} has lines with more values than columns: save it as CSV with a name for each column.")
    table.columns = [str(name).strip() for name in table.columns]
    table.index += heads
    table.attrs["decimal comma"] = mark != ","
    table.attrs["units"] = dict(zip(table.columns, top.iloc[heads - 1].astype(str), strict=True)) if heads else {}
    return table


def _rows_of_names(top: pd.DataFrame) -> int:
    """How many of the first rows are further heads, as TrackMate writes them: rows without a single number."""
    if not {"FRAME", "SPOT_SOURCE_ID"} & set(top.columns):
        return 0
    text = [not any(map(_is_number, row)) for row in top.itertuples(index=False)]
    return text.index(False) if False in text else len(text)


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True


def as_numbers(path: Path, table: pd.DataFrame, column: str, *, whole: bool = False) -> FloatArray:
    """A column as float64 (n,); `InputError` names the first line that holds something else than a finite number."""
    import pandas as pd

    given = table[column]
    if not pd.api.types.is_numeric_dtype(given) and table.attrs.get("decimal comma"):
        given = given.astype(str).str.replace(",", ".", regex=False)
    values = np.asarray(pd.to_numeric(given, errors="coerce"), dtype=np.float64)
    bad = ~(np.abs(values) <= LARGEST)
    if whole:
        bad |= (np.abs(values) > 2**53) | (values != np.floor(values))
    if bad.any():
        line = int(np.flatnonzero(bad)[0])
        kind = "a whole number" if whole else "a number"
        found = "empty" if is_empty(table, column)[line] else f"'{table[column].iloc[line]}'"
        raise InputError(
            f"{path}, line {int(table.index[line]) + 2}: {column} is {found}, "
            f"expected {kind}: correct it ({counted(int(bad.sum()), 'such line')})."
        )
    return values


def as_whole(path: Path, table: pd.DataFrame, column: str) -> IntArray:
    """A column as int64 (n,); `InputError` names the first line that holds something else than a whole number."""
    given = table[column]
    if given.dtype.kind == "i" and (given.empty or max(-given.min(), given.max()) <= 2**53):
        return np.asarray(given, dtype=np.int64)
    return as_numbers(path, table, column, whole=True).astype(np.int64)


def is_empty(table: pd.DataFrame, column: str) -> NDArray[np.bool_]:
    """Where a column holds nothing, bool (n,)."""
    import pandas as pd

    given = table[column]
    if pd.api.types.is_numeric_dtype(given):
        return np.asarray(given.isna(), dtype=bool)
    return np.asarray(given.astype(str).str.strip().str.lower().isin(NOTHING), dtype=bool)


def filled(table: pd.DataFrame, column: str, value: str) -> pd.DataFrame:
    """The table with ``value``, a number as text, where the column holds nothing."""
    import pandas as pd

    nothing = is_empty(table, column)
    if not nothing.any():
        return table
    number = pd.api.types.is_numeric_dtype(table[column])
    given = table[column] if number else table[column].astype(str)
    new = table.assign(**{column: given.where(~nothing, float(value) if number else value)})
    new.attrs = table.attrs
    return new
