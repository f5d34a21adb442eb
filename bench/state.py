"""The router's state: how fast it is restored, and what an event costs with many customers.

restore    records of a changelog read by a plain reader, into the store in memory, into the store on disk; in turns.
customers  all partitions in one process, without Kafka: a pass takes events (decode, decide, encode the records), the
           store takes what it changed. Every event is of a customer at random, so with many nearly all are read from
           the store; beside it the same with few, who are all kept decoded. Each size runs in a process of its own.
           "deciding" leaves the store's own threads out. Memory is what the process holds more than with a thousand
           customers; write buffers and decoded customers count, the store's cache does not.
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
from services.common.processor.kafka import KafkaLog
from services.common.processor.log import Tail
from services.common.processor.ports import Batch, LocalStore, Origin, Position, Record
from services.common.processor.restore import restore
from services.common.processor.rocks import RocksStores
from services.common.processor.store import MemoryStore
from services.common.topics import DEFAULT_PARTITIONS, Topics
from services.policy.registry import Registry
from services.router.deciding import Pass
from services.router.decision.model import DAY, Admission, Identity, MessageClass, Subject, Told
from services.router.indexes import INDEX
from services.router.state import Room, State, identity_key

CACHE_MB = 64
PASS = 500
ALL = DEFAULT_PARTITIONS
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
        tail, log = TopicPartition(on.topics.state, 0), KafkaLog(on.bootstrap)
        load: list[Message] = []
        for number in range(options.records // 4 + 1):
            load += [(key, value, []) for key, value in records(f"c{number}", "UTC")]
        await on.write(on.topics.state, load[: options.records])
        end = (await on.end(on.topics.state))[tail]
        wall: dict[str, list[float]] = {name: [] for name in ("plain read", "into memory", "onto disk")}
        cpu: dict[str, list[float]] = {name: [] for name in wall}
        for number in range(options.rounds):
            with tempfile.TemporaryDirectory() as folder:
                disk, _ = RocksStores(Path(folder), CACHE_MB).open(Origin("bench", tail.topic, 0, PARTITIONS), INDEX)
                stores: dict[str, LocalStore | None] = {
                    "plain read": None,
                    "into memory": MemoryStore(INDEX),
                    "onto disk": disk,
                }
                for name, store in stores.items():
                    begun = time.perf_counter(), time.process_time()
                    if store is None:
                        await plain_read(on, tail, end)
                    else:
                        assert (await restore(log, Tail(tail.topic, 0), store, "bench", NOW)).records == end
                    wall[name].append(time.perf_counter() - begun[0])
                    cpu[name].append(time.process_time() - begun[1])
                disk.close()
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
        print(f"restore of {end} records of one partition with their index, {options.rounds} rounds")
        print(f"{'':14}{'records/s: median (min-max)':>32}{'cpu us a record':>18}{'cpu, times plain':>18}")
        for name, seconds in wall.items():
            ratio = statistics.median(s / p for s, p in zip(cpu[name], cpu["plain read"], strict=True))
            rates = _spread([end / s for s in seconds])
            print(f"{name:14}{rates:>32}{statistics.median(cpu[name]) / end * 1e6:18.1f}{ratio:18.1f}")


# --- cost and memory by number of customers ------------------------------------------------------


class Cost(Struct):
    """Processor microseconds for each event, by round, all threads and the deciding one; the process's bytes."""

    customers: int
    rounds: list[float]
    deciding: list[float]
    memory_without: int
    memory: int
    on_disk: int
    seconds_to_fill: float


def cost(customers: int, count: int, rounds: int) -> Cost:
    """Measure in this process."""
    registry = Registry(("email",))
    for key, value in active_policy():
        registry.take(key, value)
    folder = Path(tempfile.mkdtemp())
    chosen = random.Random(1)  # noqa: S311  # which customers are asked for, the same in every run
    try:
        # The same work before: what the process needs whoever there is.
        few = Work(RocksStores(folder / "few", CACHE_MB), registry)
        few.fill(1_000)
        for number in range(3):
            few.take(number, chosen.sample(range(1_000), 1_000))
        few.close()
        del few
        gc.collect()
        without = memory()
        work = Work(RocksStores(folder / "many", CACHE_MB), registry)
        begun = time.perf_counter()
        work.fill(customers)
        filled = time.perf_counter() - begun
        settle()
        spent = [work.take(n, chosen.sample(range(customers), min(count, customers))) for n in range(rounds + 1)]
        gc.collect()
        held = memory()
        work.close()
        size = sum(file.stat().st_size for file in folder.rglob("many/**/*") if file.is_file())
        everything, deciding = zip(*spent[1:], strict=True)
        return Cost(customers, [*everything], [*deciding], without, held, size, filled)
    finally:
        shutil.rmtree(folder)


def settle() -> None:
    """Wait until the stores' own threads have put in order what they were filled with."""
    busy = 1.0
    while busy > 0.01:
        before = time.process_time()
        time.sleep(1)
        busy = time.process_time() - before


class Work:
    """A router's partitions and their passes, one after the other, as the processor makes them, without Kafka."""

    def __init__(self, stores: RocksStores, registry: Registry) -> None:
        self._topics = Topics(partitions=ALL)
        self._registry = registry
        self._stores = [stores.open(Origin("bench", "state", number, ALL), INDEX)[0] for number in range(ALL)]
        room = Room()
        self._states = [State(store, room) for store in self._stores]
        self._number = 0

    def fill(self, customers: int) -> None:
        for first in range(0, customers, 10_000):
            portions: list[list[tuple[bytes, bytes]]] = [[] for _ in range(ALL)]
            for number in range(first, min(first + 10_000, customers)):
                portions[_partition(number)] += records(f"c{number}", "UTC")
            for store, portion in zip(self._stores, portions, strict=True):
                store.take(portion, store.next_offset + len(portion))
        for store in self._stores:
            while not store.complete():
                pass

    def take(self, round_number: int, customers: list[int]) -> tuple[float, float]:
        """Take an event for each of these; return the processor microseconds for one. Two days pass between rounds."""
        now = NOW + 2 * round_number * DAY
        waiting: list[list[Record]] = [[] for _ in range(ALL)]
        for number, message in zip(
            customers, events(round_number, len(customers), [f"c{number}" for number in customers]), strict=True
        ):
            waiting[_partition(number)].append(self._record(message, now))
        begun = time.process_time(), time.thread_time()
        for partition, made in enumerate(waiting):
            for first in range(0, len(made), PASS):
                self._pass(partition, now, made[first : first + PASS])
        ended = time.process_time(), time.thread_time()
        everything, deciding = ((end - start) / len(customers) * 1e6 for start, end in zip(begun, ended, strict=True))
        return everything, deciding

    def _pass(self, partition: int, now: int, taken: list[Record]) -> None:
        self._number += 1
        store, state = self._stores[partition], self._states[partition]
        batch = Batch(self._number, now + self._number, {self._topics.events: tuple(taken)})
        work = Pass(batch, partition, self._topics, self._registry, state, "")
        work.decide_all()
        assert len(work.outputs) > 2 * len(taken), "each is decided and sent"
        store.merge(state.changes(), Position({}, self._number, batch.now), store.next_offset + 1)
        state.committed()
        state.timers.next_due()

    def _record(self, message: Message, now: int) -> Record:
        key, value, headers = message
        return Record(self._topics.events, 0, 0, now, key, value, tuple(headers))

    def close(self) -> None:
        for store in self._stores:
            store.close()


def _partition(customer: int) -> int:
    return partition_of(f"{TENANT}|c{customer}".encode(), ALL)


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
    print(f"{'customers':>12}{'cpu us an event (min-max)':>36}{'deciding':>26}{'MiB more':>12}{'MiB on disk':>14}")
    for one in found:
        more = (one.memory - one.memory_without) / (1 << 20)
        spread, deciding = _spread(one.rounds), _spread(one.deciding)
        print(f"{one.customers:12}{spread:>36}{deciding:>22}{more:10.0f}{one.on_disk / (1 << 20):13.0f}")
    for one in found:
        beyond = (one.memory - one.memory_without - (CACHE_MB << 20)) / one.customers
        print(
            f"{one.customers} customers: {beyond:.0f} bytes of memory a customer beyond the cache of {CACHE_MB} MiB; "
            f"{one.on_disk / one.customers:.0f} bytes on disk; filled in {one.seconds_to_fill:.0f} s"
        )


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.0f} ({min(values):.0f}-{max(values):.0f})"


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
