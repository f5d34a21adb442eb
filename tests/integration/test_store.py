"""The store on disk, on a real Kafka: a process that is killed at any moment reads only the tail, and wipes nothing."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.common.processor.kafka import KafkaLog
from services.common.processor.log import Tail
from services.common.processor.ports import LocalStore, Origin
from services.common.processor.restore import origin, restore
from services.common.processor.rocks import RocksStores
from services.common.processor.store import MemoryStore
from services.common.topics import Topics
from tests.support.copying import Copies, assert_counted_once, copier, produce
from tests.support.waiting import wait_until_async

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

KILLS = 10
PORTIONS = 8
PORTION = 20
# What the copier writes in one transaction: its count and the position. More than the last one can't be missing.
A_COMMIT = 2


class Copying:
    """A copier with a store of its own, and its log."""

    def __init__(self, kafka: str, topics: Topics, folder: Path) -> None:
        self.kafka = kafka
        self.topics = topics
        self.state = folder / "state"
        self._log = folder / "log"

    @asynccontextmanager
    async def running(self, lines: list[dict[str, Any]]) -> AsyncIterator[None]:
        """Run until the end of the block, then kill; `lines` gets what was logged."""
        with (
            self._log.open("wb") as log,
            copier(self.kafka, self.topics, "a", log, CLARION_STATE_DIR=str(self.state)) as process,
        ):
            yield
            process.kill()
        lines += [msgspec.json.decode(line) for line in self._log.read_bytes().splitlines() if line.startswith(b"{")]

    async def origin(self, partition: int) -> Origin:
        return await origin(KafkaLog(self.kafka), Tail(self.topics.state, partition))

    async def restored(self, partition: int, store: LocalStore) -> int:
        return (await restore(KafkaLog(self.kafka), Tail(self.topics.state, partition), store, "test", now=0)).records


async def _at_least(copies: Copies, count: int) -> bool:
    return await copies.count() >= count


def opened(log: list[dict[str, Any]]) -> Iterator[tuple[int, int]]:
    """Return partition and number of records read, of each partition that was opened."""
    return ((line["partition"], line["read"]) for line in log if line["event"] == "partition opened")


def thrown_away(log: list[dict[str, Any]]) -> list[int]:
    return [line["partition"] for line in log if line["event"].startswith("local store thrown away")]


async def test_a_killed_process_reads_the_tail_and_counts_each_input_once(
    kafka: str, topics: Topics, tmp_path: Path
) -> None:
    copying = Copying(kafka, topics, tmp_path)
    texts = [str(number) for number in range(KILLS * PORTIONS * PORTION)]
    logs: list[list[dict[str, Any]]] = [[] for _ in range(KILLS + 1)]
    async with Copies(kafka, topics) as copies:
        for kill in range(KILLS):
            async with copying.running(logs[kill]):
                for portion in range(kill * PORTIONS, (kill + 1) * PORTIONS):  # in portions, so that commits are many
                    await wait_until_async(partial(_at_least, copies, portion * PORTION), 40)
                    await produce(kafka, topics, texts[portion * PORTION : (portion + 1) * PORTION])
        async with copying.running(logs[KILLS]):
            await wait_until_async(partial(_at_least, copies, len(texts)), 40)
    assert_counted_once(copies, texts)
    read = [count for log in logs[1:] for _, count in opened(log)]
    assert len(read) >= topics.partitions * (KILLS - 1)
    assert max(read) <= A_COMMIT
    assert [thrown_away(log) for log in logs] == [[]] * (KILLS + 1)
    for partition in range(topics.partitions):
        store, discarded = RocksStores(copying.state, 1).open(await copying.origin(partition), None)
        whole = MemoryStore()
        assert await copying.restored(partition, store) <= A_COMMIT
        assert await copying.restored(partition, whole) > A_COMMIT * KILLS
        assert (list(store.items()), store.position, discarded) == (list(whole.items()), whole.position, "")
        store.close()


async def test_a_store_that_is_broken_is_made_anew_from_the_whole_changelog(
    kafka: str, topics: Topics, tmp_path: Path
) -> None:
    copying = Copying(kafka, topics, tmp_path)
    texts = [str(number) for number in range(10 * PORTION)]
    log: list[dict[str, Any]] = []
    async with Copies(kafka, topics) as copies:
        async with copying.running([]):
            for first in range(0, 9 * PORTION, PORTION):
                await produce(kafka, topics, texts[first : first + PORTION])
                await wait_until_async(partial(_at_least, copies, first + PORTION), 40)
        (broken,) = copying.state.glob("*/*/1/CURRENT")
        broken.write_bytes(b"torn")
        await produce(kafka, topics, texts[9 * PORTION :])
        async with copying.running(log):
            await wait_until_async(partial(_at_least, copies, len(texts)), 40)
    assert_counted_once(copies, texts)
    assert thrown_away(log) == [1]
    read = dict(opened(log))
    assert read[1] > A_COMMIT
    assert max(read[partition] for partition in read if partition != 1) <= A_COMMIT
