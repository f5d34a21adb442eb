"""What a pass has changed, before it is committed, over the store of what is.

Index entries are asked for with both: what the pass has changed counts at once. The entries of one index that are taken
from the front (timers, ages) are looked for where the first one was last found, not among what was deleted before it.
"""

from collections.abc import Iterable, Mapping

from services.common.processor.ports import Change, Store

_PREFIX = 2


class Overlay:
    """Records and index entries as the pass sees them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._records: dict[bytes, bytes | None] = {}
        self._entries: dict[bytes, bytes | None] = {}
        self._before_first: dict[bytes, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a record."""
        return self._records[key] if key in self._records else self._store.get(key)

    def put(self, records: Mapping[bytes, bytes | None]) -> None:
        """Change records; None deletes."""
        self._records.update(records)

    def index(self, before: Iterable[bytes], after: Iterable[bytes]) -> None:
        """Replace index entries by others."""
        was, now = set(before), set(after)
        for key in was - now:
            self._entries[key] = None
        for key in now - was:
            self._entries[key] = b""
            first = self._before_first.get(key[:_PREFIX])
            if first is not None and key <= first:
                self._before_first[key[:_PREFIX]] = key[:-1]

    def entries(self, prefix: bytes, after: bytes, limit: int) -> list[bytes]:
        """Return index entries with a prefix behind a key, in order."""
        changed = {k: v for k, v in self._entries.items() if k > after and k.startswith(prefix)}
        found: list[bytes] = []
        while len(found) < limit:
            kept = [key for key, _ in self._store.scan(prefix, after, limit)]
            end = kept[-1] if len(kept) == limit else None
            found += (key for key in kept if key not in changed)
            found += (k for k, v in changed.items() if v is not None and k > after and (end is None or k <= end))
            if end is None:
                break
            after = end
        return sorted(found)[:limit]

    def first(self, prefix: bytes, limit: int) -> list[bytes]:
        """Return the first entries of an index that is taken from the front."""
        found = self.entries(prefix, self._before_first.get(prefix, b""), limit)
        if found:
            self._before_first[prefix] = found[0][:-1]
        return found

    def changes(self) -> list[Change]:
        """Return all that has changed since the last commit."""
        records = [Change(key, value) for key, value in self._records.items()]
        return records + [Change(key, value, local=True) for key, value in self._entries.items()]

    def committed(self) -> None:
        """Forget what has changed: the store has it now."""
        self._records, self._entries = {}, {}
