"""Committed state of one partition, on disk: nothing has to be thrown away after a crash.

Records, index entries, the position and the offset of the changelog change in one write batch, all or none. kill -9
leaves what was written; when the machine dies, the newest batches may be gone, and the store stands where it stood
before them. So what is read here is always the state at `next_offset`, and the tail of the changelog is enough.
A folder belongs to one log (cluster, topic, partition). One process has it open at a time; where a stuck process still
holds it, its successor takes the next folder beside it.
"""

import contextlib
import shutil
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
from rocksdict import BlockBasedIndexType, BlockBasedOptions, Cache, DBCompressionType, Options, Rdict, WriteBatch

from services.common.processor.errors import BrokenStoreError
from services.common.processor.ports import LOCAL, Change, Index, LocalStore, Origin, Position
from services.common.processor.store import indexed, latest

_ABOUT = LOCAL + LOCAL + b"about"
_POSITION = LOCAL + LOCAL + b"position"
_NEXT = LOCAL + LOCAL + b"next"
_FIRST_ENTRY = LOCAL + b"\x01"
_FIRST_RECORD = b"\x01"

_MIB = 1024 * 1024
_WRITE_BUFFER = 8 * _MIB
_OPEN_FILES = 100
_FOLDERS = 4
_PORTION = 5_000
# In place of the version of an index: there is none, or it is not finished.
_NO_INDEX, _UNFINISHED = 0, -1

_offset = struct.Struct(">q")


class _About(msgspec.Struct, frozen=True):
    """What a store was made from, and by which index."""

    origin: Origin
    index: int


_encode = msgspec.msgpack.encode
_decode_about = msgspec.msgpack.Decoder(_About).decode
_decode_position = msgspec.msgpack.Decoder(Position).decode


class _LockedError(Exception):
    """Another process has this folder open."""


class RocksStore:
    """Keeps a partition in one RocksDB; `discarded` says why what was in its folder before was thrown away."""

    def __init__(self, path: Path, origin: Origin, index: Index | None, cache: Cache) -> None:
        self.discarded = ""
        self.next_offset = 0
        self.position = Position()
        self._path = path
        self._origin = origin
        self._version = _NO_INDEX if index is None else index.version
        self._index = index
        self._indexed = False
        self._indexed_to = b""
        self._cache = cache
        self._db = self._opened()

    # --- reading -----------------------------------------------------------------------------

    def get(self, key: bytes) -> bytes | None:
        """Return the committed value of a key."""
        try:
            found: bytes | None = self._db.get(key)
        except Exception as error:
            raise BrokenStoreError(str(error)) from error
        return found

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Iterate over all keys and values but the local ones, in order."""
        after = b""
        while portion := self._read(_FIRST_RECORD, b"", after, _PORTION):
            yield from portion
            after = portion[-1][0]

    def scan(self, prefix: bytes, after: bytes = b"", limit: int | None = None) -> list[tuple[bytes, bytes]]:
        """Return what is kept under keys with this prefix and behind `after`, in order."""
        return self._read(max(prefix, _FIRST_ENTRY), prefix, after, limit)

    def _read(self, first: bytes, prefix: bytes, after: bytes, limit: int | None) -> list[tuple[bytes, bytes]]:
        found: list[tuple[bytes, bytes]] = []
        try:
            at = self._db.iter()
            # The next key behind another one is that key with a zero byte more.
            at.seek(first if after < first else after + b"\x00")
            while len(found) != limit and at.valid():
                key = at.key()
                if not key.startswith(prefix):
                    break
                found.append((key, at.value()))
                at.next()
            at.status()
        except Exception as error:
            raise BrokenStoreError(str(error)) from error
        return found

    # --- writing -----------------------------------------------------------------------------

    def take(self, records: Iterable[tuple[bytes, bytes | None]], next_offset: int) -> None:
        """Take records of the changelog up to `next_offset`."""
        values, position = latest(records, self.position)
        batch = WriteBatch(raw_mode=True)
        if self._index is not None and self._indexed:
            before = self._before([key for key in values if self._index.covers(key)])
            _put(batch, indexed(values, before, self._index))
        _put(batch, values.items())
        self._write(batch, position, next_offset)

    def merge(self, changes: Iterable[Change], position: Position, next_offset: int) -> None:
        """Take what a transaction has committed."""
        batch = WriteBatch(raw_mode=True)
        _put(batch, ((change.key, change.value) for change in changes))
        self._write(batch, position, next_offset)

    def _before(self, keys: list[bytes]) -> dict[bytes, bytes]:
        try:
            found = self._db.get([*keys]) if keys else []
        except Exception as error:
            raise BrokenStoreError(str(error)) from error
        return {key: value for key, value in zip(keys, found or (), strict=True) if value is not None}

    def complete(self) -> bool:
        """Make a part of the index if there is none yet: while a whole log was read, it would only have got in the way.

        Only when all of it is made the store says that it is there.
        """
        if self._indexed:
            return True
        portion: list[tuple[bytes, bytes]] = []
        batch = WriteBatch(raw_mode=True)
        if self._index is not None:
            if not self._indexed_to:
                batch.delete_range(_FIRST_ENTRY, _FIRST_RECORD)
            portion = self._read(_FIRST_RECORD, b"", self._indexed_to, _PORTION)
            entries = self._index.entries
            _put(batch, ((entry, b"") for key, value in portion for entry in entries(key, value)))
        self._indexed = len(portion) < _PORTION
        if self._indexed:
            batch.put(_ABOUT, _encode(_About(self._origin, self._version)))
        else:
            self._indexed_to = portion[-1][0]
        self._write(batch, self.position, self.next_offset)
        return self._indexed

    def _write(self, batch: WriteBatch, position: Position, next_offset: int) -> None:
        batch.put(_POSITION, position.encoded())
        batch.put(_NEXT, _offset.pack(next_offset))
        try:
            self._db.write(batch)
        except Exception as error:
            raise BrokenStoreError(str(error)) from error
        self.position, self.next_offset = position, next_offset

    def wipe(self) -> None:
        """Throw everything away."""
        self.close()
        self._db = self._fresh()

    def close(self) -> None:
        """Let go of the folder."""
        with contextlib.suppress(Exception):  # what a broken store says at its end changes nothing
            self._db.close()

    # --- opening -----------------------------------------------------------------------------

    def _opened(self) -> Rdict:
        try:
            db = self._database()
        except _LockedError:
            raise
        except Exception as error:  # noqa: BLE001  # whatever is wrong with it: the changelog has it all
            self.discarded = f"it can't be read: {error}"
            return self._fresh()
        try:
            self.discarded = self._recognise(db)
        except Exception as error:  # noqa: BLE001  # as above
            self.discarded = f"it can't be read: {error}"
        if self.discarded:
            db.close()
            return self._fresh()
        return db

    def _recognise(self, db: Rdict) -> str:
        """Take over what a store says of itself; return why it can't be used, "" if it can."""
        about = db.get(_ABOUT)
        if about is None:
            self._introduce(db)
            return ""
        found = _decode_about(about)
        if found.origin != self._origin:
            return f"it is of another log: {found.origin}"
        position, next_offset = db.get(_POSITION), db.get(_NEXT)
        if position is not None and next_offset is not None:
            self.position, self.next_offset = _decode_position(position), _offset.unpack(next_offset)[0]
        if found.index == self._version:
            self._indexed = True
        else:
            self._introduce(db)
        return ""

    def _fresh(self) -> Rdict:
        shutil.rmtree(self._path, ignore_errors=True)
        self.next_offset, self.position = 0, Position()
        self._indexed, self._indexed_to = False, b""
        db = self._database()
        self._introduce(db)
        return db

    def _introduce(self, db: Rdict) -> None:
        db.put(_ABOUT, _encode(_About(self._origin, _UNFINISHED)))

    def _database(self) -> Rdict:
        self._path.mkdir(parents=True, exist_ok=True)
        try:
            return Rdict(str(self._path), _options(self._cache))
        except Exception as error:
            if "lock" in str(error) and "/LOCK:" in str(error):
                raise _LockedError(str(error)) from error
            raise


class RocksStores:
    """Stores under one folder, by cluster, topic and partition; they share one cache of blocks that were read."""

    def __init__(self, folder: Path, cache_mb: int) -> None:
        self._folder = folder
        self._cache = Cache(cache_mb * _MIB)

    def open(self, origin: Origin, index: Index | None) -> tuple[LocalStore, str]:
        """Open the store of a log; begin with nothing where what is there is of another log or broken."""
        locked = ""
        home = self._folder / (origin.cluster or "cluster") / origin.topic
        for name in (f"{origin.partition}", *(f"{origin.partition}-{more}" for more in range(2, _FOLDERS + 1))):
            try:
                store = RocksStore(home / name, origin, index, self._cache)
            except _LockedError as error:
                locked = str(error)
                continue
            return store, store.discarded
        raise BrokenStoreError(f"no folder can be opened: {locked}")


def _put(batch: WriteBatch, changes: Iterable[tuple[bytes, bytes | None]]) -> None:
    for key, value in changes:
        if value is None:
            batch.delete(key)
        else:
            batch.put(key, value)


def _options(cache: Cache) -> Options:
    table = BlockBasedOptions()
    table.set_block_cache(cache)
    table.set_bloom_filter(10, block_based=False)
    # What is read stays within the cache, also the indexes and filters of its files: memory does not grow with the
    # number of customers. They are cut into small blocks, since one of a whole file would push all others out.
    table.set_index_type(BlockBasedIndexType.two_level_index_search())
    table.set_partition_filters(size=True)
    table.set_cache_index_and_filter_blocks(v=True)
    table.set_pin_top_level_index_and_filter(v=True)
    table.set_pin_l0_filter_and_index_blocks_in_cache(v=True)
    options = Options(raw_mode=True)
    options.create_if_missing(create_if_missing=True)
    options.set_block_based_table_factory(table)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_write_buffer_size(_WRITE_BUFFER)
    options.set_max_open_files(_OPEN_FILES)
    options.set_keep_log_file_num(2)
    options.set_max_log_file_size(_MIB)
    return options
