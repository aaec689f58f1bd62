"""A cache that is bounded by bytes, not by entries: what was not used for longest goes first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable


class ByteCache:
    """Keeps byte strings up to ``limit`` bytes in total; safe to use from several threads."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0
        self._entries: OrderedDict[Hashable, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], bytes]) -> bytes:
        """The bytes under ``key``; made by ``make`` where they are not there."""
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
                return self._entries[key]
        value = make()
        with self._lock:
            if key not in self._entries and len(value) <= self.limit:
                self._entries[key] = value
                self.size += len(value)
                while self.size > self.limit:
                    self.size -= len(self._entries.popitem(last=False)[1])
        return value
