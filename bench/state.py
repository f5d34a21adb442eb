"""The router's state: how fast it is restored, and what an event costs with many customers.

restore    records of a changelog read by a plain reader, into the store in memory, into the store on disk; in turns.
customers  one partition in one process, without Kafka: a pass takes events (decode, decide, encode the records) and the
           store takes what it changed. Every event is of a customer at random, so with many nearly all are read from
           the store; beside it the same with few, who are all kept decoded. Each size runs in a process of its own.
           Memory is what the process holds beyond the store's cache and write buffers, with and without customers.
Run: `make bench-state`, or `python -m bench.state [--customers N ...] [--events N] [--records N] [--rounds N]`.
"""

import argparse
import asyncio
import gc
import random
import shutil
import statistics
import sys
import tempfile
import time
from asyncio.subprocess import PIPE
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
from aiokafka import AIOKafkaConsumer, TopicPartition
from msgspec import Struct

from bench.router import events
from bench.stage import PARTITIONS, TENANT, Message, Stage, active_policy, machine, stage
from services.common import kafka
from services.common.partitions import partition_of
from services.common.processor.ports import Batch, LocalStore, Origin, Position, Record
from services.common.processor.restore import restore
from services.common.processor.rocks import RocksStores
from services.common.processor.store import MemoryStore
from services.common.topics import Topics
from services.policy.registry import Registry
from services.router.deciding import Pass
from services.router.decision.model import DAY, Admission, Identity, MessageClass, Subject, Told
from services.router.indexes import INDEX
from services.router.state import State, identity_key

CACHE_MB = 64
PASS = 500
NOW = 1_800_014_400_000_000  # noon, UTC
_encode = msgspec.msgpack.encode


def records(customer: str, zone: str) -> Iterator[tuple[bytes, bytes]]:
    """Return what the changelog holds of a customer who was sent one message."""
    key = f"{TENANT}|{customer}".encode()
    since, event, send = NOW - DAY, f"e-{customer}", customer.encode().rjust(20, b"-")
    document = {
        "addresses": {"email": f"{customer}@example.org"},
        "locale": "en",
        "timezone": zone,
        "attributes": {"plan": ("gold", "tin")[len(customer) % 2], "city": f"city-{customer[-2:]}"},
    }
    yield key + b"|profile|", _encode(document)
    admission = Admission(since, send, ("email",), "order", MessageClass.INFORMATIONAL, "order-problem", event)
    yield key + b"|admission|" + send.hex().encode() + b"-0", _encode(admission)
    told = (Told(send, "email", since, event, since),)
    subject = Subject("bench", event, None, told, {"order": event}, told, since)
    yield key + b"|subject|5:bench|" + event.encode(), _encode(subject)
    # As if it came last: what is forgotten while we measure is of the events before, one for each event.
    yield identity_key(TENANT, customer, "bench", event), _encode(Identity(send, NOW + 30 * DAY))


# --- restore -------------------------------------------------------------------------------------


async def plain_read(on: Stage, tail: TopicPartition, end: int) -> None:
    reader = AIOKafkaConsumer(**kafka.consumer_settings(on.bootstrap, "bench"))
    await reader.start()
    try:
        reader.assign([tail])
        reader.seek(tail, 0)
        while await reader.position(tail) < end:
            await reader.getmany(tail, timeout_ms=200)
    finally:
        await reader.stop()


async def restoring(options: argparse.Namespace) -> None:
    async with stage() as on:
        tail = TopicPartition(on.topics.state, 0)
        load: list[Message] = []
        for number in range(options.records // 4 + 1):
            load += [(key, value, []) for key, value in records(f"c{number}", "UTC")]
        await on.write(on.topics.state, load[: options.records])
        end = (await on.end(on.topics.state))[tail]
        found: dict[str, list[float]] = {"plain read": [], "into memory": [], "onto disk": []}
        for number in range(options.rounds):
            with tempfile.TemporaryDirectory() as folder:
                disk, _ = RocksStores(Path(folder), CACHE_MB).open(Origin("bench", tail.topic, 0, PARTITIONS), INDEX)
                stores: dict[str, LocalStore] = {"into memory": MemoryStore(INDEX), "onto disk": disk}
                begun = time.perf_counter()
                await plain_read(on, tail, end)
                found["plain read"].append(time.perf_counter() - begun)
                for name, store in stores.items():
                    begun = time.perf_counter()
                    restored = await restore(on.bootstrap, tail.topic, 0, store, "bench", NOW)
                    found[name].append(time.perf_counter() - begun)
                    assert restored.records == end
                disk.close()
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
        print(f"restore of {end} records of one partition, {options.rounds} rounds: records a second, median (min-max)")
        for name, seconds in found.items():
            ratio = statistics.median(s / p for s, p in zip(seconds, found["plain read"], strict=True))
            rates = sorted(end / s for s in seconds)
            spread = f"({rates[0]:.0f}-{rates[-1]:.0f})"
            print(f"  {name:12}{statistics.median(rates):10.0f} {spread}, {ratio:.1f} times the plain read's time")


# --- cost and memory by number of customers ------------------------------------------------------


class Cost(Struct):
    """Processor microseconds for each event, by round; the process's bytes; what the store's cache may hold."""

    customers: int
    rounds: list[float]
    memory_without: int
    memory: int
    on_disk: int
    seconds_to_fill: float


def cost(customers: int, count: int, rounds: int) -> Cost:
    """Measure in this process."""
    registry = Registry(("email",))
    for key, value in active_policy():
        registry.take(key, value)
    topics, zone, folder = Topics(partitions=1), "UTC", Path(tempfile.mkdtemp())
    chosen = random.Random(1)  # noqa: S311  # which customers are asked for, the same in every run
    try:
        # The same work before: what the process needs whoever there is.
        few, _ = RocksStores(folder, CACHE_MB).open(Origin("few", "state", 0, 1), INDEX)
        fill(few, 1_000, zone)
        work = Work(few, topics, registry)
        for number in range(3):
            work.take(number, [f"c{customer}" for customer in chosen.sample(range(1_000), 1_000)])
        few.close()
        del few, work
        gc.collect()
        without = memory()
        store, _ = RocksStores(folder, CACHE_MB).open(Origin("many", "state", 0, 1), INDEX)
        begun = time.perf_counter()
        fill(store, customers, zone)
        filled = time.perf_counter() - begun
        settle()
        work = Work(store, topics, registry)
        spent = [
            work.take(number, [f"c{customer}" for customer in chosen.sample(range(customers), min(count, customers))])
            for number in range(rounds + 1)
        ]
        gc.collect()
        held = memory()
        store.close()
        size = sum(file.stat().st_size for file in folder.rglob("many/**/*") if file.is_file())
        return Cost(customers, spent[1:], without, held, size, filled)
    finally:
        shutil.rmtree(folder)


def fill(store: LocalStore, customers: int, zone: str) -> None:
    for first in range(0, customers, 2_000):
        portion = [pair for n in range(first, min(first + 2_000, customers)) for pair in records(f"c{n}", zone)]
        store.take(portion, store.next_offset + len(portion))
    while not store.complete():
        pass


def settle() -> None:
    """Wait until the store's own threads have put in order what it was filled with."""
    busy = 1.0
    while busy > 0.01:
        before = time.process_time()
        time.sleep(1)
        busy = time.process_time() - before


class Work:
    """Passes one after the other, as the processor makes them, without Kafka."""

    def __init__(self, store: LocalStore, topics: Topics, registry: Registry) -> None:
        self._store, self._topics, self._registry = store, topics, registry
        self._state = State(store)
        self._number = 0

    def take(self, round_number: int, customers: list[str]) -> float:
        """Take an event for each of these; return the processor microseconds for one. Two days pass between rounds."""
        now = NOW + 2 * round_number * DAY
        made = [self._record(message, now) for message in events(round_number, len(customers), customers)]
        begun = time.process_time()
        for first in range(0, len(made), PASS):
            self._number += 1
            batch = Batch(self._number, now + self._number, {self._topics.events: tuple(made[first : first + PASS])})
            work = Pass(batch, 0, self._topics, self._registry, self._state, "")
            work.decide_all()
            assert len(work.outputs) > 2 * min(PASS, len(made) - first), "each is decided and sent"
            position = Position({}, self._number, batch.now)
            self._store.merge(self._state.changes(), position, self._store.next_offset + 1)
            self._state.committed()
            self._state.timers.next_due()
        return (time.process_time() - begun) / len(made) * 1e6

    def _record(self, message: Message, now: int) -> Record:
        key, value, headers = message
        return Record(self._topics.events, partition_of(key, 1), 0, now, key, value, tuple(headers))


def memory() -> int:
    rss: int = psutil.Process().memory_info().rss
    return rss


async def by_customers(options: argparse.Namespace) -> None:
    found = []
    for customers in options.customers:
        arguments = ("--one", str(customers), "--events", str(options.events), "--rounds", str(options.rounds))
        child = await asyncio.create_subprocess_exec(sys.executable, "-m", "bench.state", *arguments, stdout=PIPE)
        output, _ = await child.communicate()
        found.append(msgspec.json.decode(output, type=Cost))
    print(f"\n{options.events} events a round, {options.rounds} rounds after one to warm up, each of a random customer")
    print(f"{'customers':>12}{'us an event: median (min-max)':>34}{'MiB beyond an idle one':>24}{'MiB on disk':>13}")
    for one in found:
        spread = f"{statistics.median(one.rounds):.1f} ({min(one.rounds):.1f}-{max(one.rounds):.1f})"
        more = (one.memory - one.memory_without) / (1 << 20)
        print(f"{one.customers:12}{spread:>34}{more:24.0f}{one.on_disk / (1 << 20):13.0f}")
    for one in found:
        beyond = (one.memory - one.memory_without - (CACHE_MB << 20)) / one.customers
        print(
            f"{one.customers} customers: {beyond:.0f} bytes of memory a customer beyond the cache of {CACHE_MB} MiB; "
            f"{one.on_disk / one.customers:.0f} bytes on disk; filled in {one.seconds_to_fill:.0f} s"
        )


async def run(options: argparse.Namespace) -> None:
    print(machine())
    await restoring(options)
    await by_customers(options)


def parsed() -> Any:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, nargs="*", default=[10_000, 1_000_000])
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--records", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", type=int, help="measure one size in this process, for the others")
    return parser.parse_args()


if __name__ == "__main__":
    given = parsed()
    if given.one is None:
        asyncio.run(run(given))
    else:
        sys.stdout.buffer.write(msgspec.json.encode(cost(given.one, given.events, given.rounds)))
