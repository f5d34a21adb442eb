"""The model's log: members, readers and producers of one process (see services/common/processor/log.py)."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from random import Random
from typing import Any, TypeVar

from services.common.processor.log import Assigned, Keyed, Producer, Revoked, Tail
from services.common.processor.ports import Record
from tests.simulation.broker import Broker, Partition
from tests.simulation.errors import SimError, SimFencedError, UnknownMemberError
from tests.simulation.faults import Faults
from tests.simulation.group import Group
from tests.simulation.loop import Loop
from tests.simulation.producer import SimProducer

HEARTBEAT_SECONDS = 3.0
T = TypeVar("T")


class SimLog:
    """Makes the clients of one process; `name` differs from one start to the next."""

    failures: tuple[type[Exception], ...] = (SimError, TimeoutError)
    fences: tuple[type[Exception], ...] = (SimFencedError,)

    def __init__(self, loop: Loop, random: Random, broker: Broker, group: Group, faults: Faults, name: str) -> None:
        self.loop = loop
        self.random = random
        self.broker = broker
        self.group = group
        self.faults = faults
        self.name = name

    def member(self, group: str, instance: str) -> "SimMember":
        _ = group
        return SimMember(self, instance)

    def producer(self, transactional_id: str) -> Producer:
        return SimProducer(self.loop, self.random, self.broker, self.faults, transactional_id)

    def reader(self, tail: Tail, client_id: str) -> "SimReader":
        _ = client_id
        return SimReader(self, tail)

    async def identity(self, topic: str) -> tuple[str, int]:
        return await self.ask(
            lambda: ("simulated", len({tail for tail in self.broker.partitions if tail.topic == topic}))
        )

    async def ask(self, request: Callable[[], T]) -> T:
        """Ask for something that changes nothing but the group."""
        self.faults.check()
        await asyncio.sleep(self.faults.latency())
        if self.faults.refuses():
            raise SimError("no answer")
        found = request()
        await asyncio.sleep(self.faults.latency())
        return found

    async def news(self, tails: Iterable[Tail], seconds: float) -> None:
        """Wait until something is written to one of these partitions."""
        self.faults.check()
        written = self.loop.create_future()

        def wake() -> None:
            if not written.done():
                written.set_result(None)

        timer = self.loop.call_later(seconds, wake)
        for tail in tails:
            self.broker.partition(tail).waiting.append(wake)
        try:
            await written
        finally:
            timer.cancel()


class SimMember:
    """See log.Member."""

    def __init__(self, log: SimLog, instance: str) -> None:
        self._log = log
        self._instance = instance
        self._name = f"{instance}/{log.name}"
        self._topics: tuple[str, ...] = ()
        self._assigned: Assigned | None = None
        self._revoked: Revoked | None = None
        self._paused: set[Tail] = set()
        self._mine: frozenset[Tail] = frozenset()
        self._positions: dict[Tail, int] = {}
        self._stable = asyncio.Event()
        self._work: asyncio.Task[None] | None = None

    async def start(self, topics: Sequence[str], assigned: Assigned, revoked: Revoked) -> None:
        self._topics, self._assigned, self._revoked = tuple(topics), assigned, revoked
        await self._log.ask(lambda: None)
        self._work = self._log.loop.create_task(self._belong())

    async def stop(self) -> None:
        if self._work is not None:
            self._work.cancel()
        await self._log.ask(lambda: self._log.group.leave(self._name))

    async def _belong(self) -> None:
        while True:
            tails = await self._join()
            self._mine = frozenset(tails)
            self._positions = {}
            self._paused = set()
            assert self._assigned is not None
            assert self._revoked is not None
            self._stable.set()
            await self._assigned(tails)
            await self._beat()
            self._stable.clear()
            await self._revoked()

    async def _join(self) -> Sequence[Tail]:
        """Join, and go on telling that we are there while others make us wait."""
        loop, group = self._log.loop, self._log.group
        while True:
            answer: asyncio.Future[Any] = loop.create_future()

            def joined(tails: Sequence[Tail] | None, answer: asyncio.Future[Any] = answer) -> None:
                loop.later(self._log.faults.latency(), _answer, answer, tails)

            try:
                await self._log.ask(partial(group.join, self._name, self._instance, self._topics, joined))
                while not answer.done():
                    await asyncio.wait([answer], timeout=HEARTBEAT_SECONDS)
                    if not answer.done():
                        await self._log.ask(lambda: group.beat(self._name))
            except SimError:
                continue
            found: Sequence[Tail] = answer.result()
            return found

    async def _beat(self) -> None:
        """Return when the group must be joined again."""
        while True:
            await asyncio.sleep(self._log.random.uniform(0.3, HEARTBEAT_SECONDS))
            try:
                if await self._log.ask(lambda: self._log.group.beat(self._name)):
                    return
            except UnknownMemberError:
                return
            except SimError:
                continue

    def pause(self, tails: Iterable[Tail]) -> None:
        self._paused.update(tails)

    def resume(self, tails: Iterable[Tail]) -> None:
        self._paused.difference_update(tails)

    def seek(self, tail: Tail, offset: int) -> None:
        if tail not in self._mine:
            raise SimError("not assigned")
        self._positions[tail] = offset

    async def fetch(self, tails: Sequence[Tail], seconds: float, limit: int) -> Mapping[Tail, Sequence[Record]]:
        loop = self._log.loop
        until = loop.time() + seconds
        while True:
            await self._stable.wait()
            found = self._take(tails, limit)
            if found:
                await asyncio.sleep(self._log.faults.latency())
                return found
            if loop.time() >= until:
                return {}
            await self._log.news(tails, until - loop.time())
            if self._log.faults.refuses():
                await asyncio.sleep(0.05)

    def _take(self, tails: Sequence[Tail], limit: int) -> dict[Tail, Sequence[Record]]:
        found: dict[Tail, Sequence[Record]] = {}
        if self._log.faults.down():
            return found
        for tail in tails:
            position = self._positions.get(tail)
            if position is None or tail in self._paused:
                continue
            taken = self._log.random.randrange(1, 12) if self._log.random.random() < 0.3 else limit
            records, self._positions[tail] = self._log.broker.partition(tail).read(position, min(limit, taken))
            if records:
                found[tail] = records
        return found

    async def position(self, tail: Tail) -> int:
        if tail not in self._positions:
            raise SimError("not assigned")
        return self._positions[tail]

    async def first_offsets(self, tails: Sequence[Tail]) -> Mapping[Tail, int]:
        return await self._log.ask(lambda: dict.fromkeys(tails, 0))

    async def stable_offsets(self, tails: Sequence[Tail]) -> Mapping[Tail, int]:
        return await self._log.ask(lambda: {tail: self._log.broker.partition(tail).stable() for tail in tails})

    async def commit(self, offsets: Mapping[Tail, int]) -> None:
        await self._log.ask(lambda: self._log.group.commit(self._name, dict(offsets)))

    async def committed(self, tails: Sequence[Tail]) -> Mapping[Tail, int]:
        """Return the group's offsets, which the processor never asks for."""
        return await self._log.ask(lambda: {tail: self._log.group.offsets.get(tail, 0) for tail in tails})


class SimReader:
    """See log.Reader."""

    def __init__(self, log: SimLog, tail: Tail) -> None:
        self._log = log
        self._tail = tail
        self._position = 0

    @property
    def _partition(self) -> Partition:
        return self._log.broker.partition(self._tail)

    async def start(self) -> None:
        await self._log.ask(lambda: None)

    async def stop(self) -> None:
        return

    async def high_watermark(self) -> int:
        return await self._log.ask(lambda: self._partition.end)

    async def stable_offset(self) -> int:
        """Return the end as a committed reader sees it, which the processor never asks for."""
        return await self._log.ask(self._partition.stable)

    async def first_offset(self) -> int:
        return await self._log.ask(lambda: 0)

    def seek(self, offset: int) -> None:
        self._position = offset

    async def fetch(self, seconds: float) -> Sequence[Keyed]:
        limit = self._log.random.choice((3, 20, 500))
        records, position = await self._log.ask(lambda: self._partition.read(self._position, limit))
        if position == self._position:
            await self._log.news([self._tail], seconds)
        self._position = position
        return records

    async def position(self) -> int:
        return self._position


def _answer(answer: asyncio.Future[Any], tails: Sequence[Tail]) -> None:
    if not answer.done():
        answer.set_result(tails)
