"""One owned partition: open, then gather, process, commit, until it is given up.

R5: the input position is part of every transaction and the only authority; records below it are skipped.
R6: after anything unclear the handler is thrown away and made anew from the store and the tail of the changelog.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import structlog

from services.common.clock import Clock
from services.common.processor.errors import BrokenStoreError, CommitUnclearError, FencedError, StuckLogError
from services.common.processor.log import Log, Member, Tail
from services.common.processor.metrics import ProcessorMetrics
from services.common.processor.ports import (
    MAX_RECORD_BYTES,
    Batch,
    Change,
    Handler,
    HandlerFactory,
    LocalStore,
    Plan,
    Position,
    Record,
    Write,
)
from services.common.processor.restore import origin, restore
from services.common.processor.store import POSITION_KEY, MemoryStore, MemoryStores
from services.common.processor.transaction import Transactions

IDLE_SECONDS = 0.5
REOPEN_SECONDS = 1.0
FENCED_SECONDS = 12.0
SLOW_SECONDS = 0.5
SMALLEST_PASS = 16
FETCH_RECORDS = 500
BEHIND_SECONDS = 0.1

Records = dict[str, list[Record]]


class Partition:
    """Works on one partition number of all inputs. `opened` is set while a handler takes batches."""

    def __init__(
        self,
        number: int,
        plan: Plan,
        log: Log,
        member: Member,
        make_handler: HandlerFactory,
        clock: Clock,
        metrics: ProcessorMetrics,
        busy_seconds: Callable[[], float] = time.thread_time,
    ) -> None:
        self.number = number
        self.opened = False
        self._plan = plan
        self._log = log
        self._member = member
        self._make_handler = make_handler
        self._clock = clock
        self._metrics = metrics
        self._unclear: tuple[type[Exception], ...] = (CommitUnclearError, *log.failures)
        self._busy_seconds = busy_seconds
        self._store: LocalStore = MemoryStore()
        self._has_store = False
        self._transactions: Transactions | None = None
        self._given_up = asyncio.Event()
        self._in_pass = False
        self._limit = plan.max_records
        self._inputs = [Tail(wanted.topic, number) for wanted in plan.inputs]
        self._to_the_end = [Tail(wanted.topic, number) for wanted in plan.inputs if wanted.to_the_end]
        self._story = structlog.get_logger().bind(partition=number)

    def give_up(self, task: asyncio.Task[None]) -> None:
        """End after the pass under way; where nothing is under way, at once.

        Waiting for records must be cut short: while the group is being reassigned aiokafka's fetch does not return.
        """
        self._given_up.set()
        if not self._in_pass:
            task.cancel()

    async def run(self) -> None:
        """Work until given up. Failures of Kafka are met here; anything else is a bug and ends the process."""
        try:
            await self._run()
        finally:
            self._store.close()

    async def _run(self) -> None:
        while not self._given_up.is_set():
            pause = REOPEN_SECONDS
            try:
                await self._open_and_work()
            except FencedError:
                # Somebody else has opened it. If the group still says it is ours after his session would have
                # ended, the fence was a transaction over its time, and we take it again.
                self._metrics.fenced.inc()
                self._story.warning("partition fenced")
                pause = FENCED_SECONDS
            except StuckLogError as error:
                self._metrics.failed.inc()
                self._story.error("partition failed", reason=str(error))
                try:
                    await self._given_up.wait()
                finally:
                    self._metrics.failed.dec()
            except BrokenStoreError as error:
                self._discarded(str(error))
                self._store.wipe()
            except self._unclear as error:
                self._metrics.reopened.inc()
                self._story.warning("partition reopened", reason=repr(error))
            finally:
                await self._shut()
            await self._wait_given_up(pause)

    async def _open_and_work(self) -> None:
        self._member.pause(self._inputs)
        await self._fence()  # R2: before anything is read
        read = await self._restore()
        await self._seek()
        handler = await self._make_handler(self.number, self._store, self)
        self.opened = True
        self._story.info("partition opened", read=read)
        try:
            while not self._given_up.is_set():
                await self._pass(handler)
            self._in_pass = True
            await handler.drain()
        finally:
            self._in_pass = False
            self.opened = False
            await handler.close()

    def _transactional_id(self) -> str:
        return f"{self._plan.application}-{self._plan.group}-{self.number}"  # R1

    async def _fence(self) -> None:
        self._transactions = Transactions(self._log, self._transactional_id(), self.number)
        await self._transactions.start()

    async def _restore(self) -> int:
        """Bring the store up to date; return how many records of the changelog that took."""
        changelog = Tail(self._plan.changelog, self.number)
        if not self._has_store:
            found = await origin(self._log, changelog)
            self._store, discarded = (self._plan.stores or MemoryStores()).open(found, self._plan.index)
            self._has_store = True
            if discarded:
                self._discarded(discarded)
        restored = await restore(self._log, changelog, self._store, self._transactional_id(), self._clock.now())
        if restored.discarded:
            self._discarded(restored.discarded)
        self._metrics.restored.inc(restored.records)
        return restored.records

    def _discarded(self, why: str) -> None:
        self._metrics.rebuilt.inc()
        self._story.warning("local store thrown away, the whole changelog is read", reason=why)

    async def _shut(self) -> None:
        if self._transactions is not None:
            await self._transactions.stop()
            self._transactions = None

    async def _seek(self) -> None:
        beginnings = await self._member.first_offsets(self._inputs)
        offsets = self._store.position.offsets
        for wanted in self._inputs:
            first = beginnings[wanted]
            known = offsets.get(wanted.topic, first)
            if known < first:
                self._story.error("input was deleted before it was read", topic=wanted.topic, lost=first - known)
            self._member.seek(wanted, max(known, first))  # R5
        self._member.resume(self._inputs)

    async def _pass(self, handler: Handler) -> None:
        try:
            fetched = await self._fetch(self._seconds_to_wait(handler.next_due()))
        except asyncio.CancelledError:
            if self._cut_short():
                return
            raise
        for records in self._portions(fetched):
            await self._process(handler, records)
        due = handler.next_due()
        if not fetched and due is not None and due <= self._clock.now():
            await self._process(handler, {})

    def _cut_short(self) -> bool:
        """Tell whether waiting was cancelled by `give_up`, and take that cancellation back."""
        task = asyncio.current_task()
        return self._given_up.is_set() and task is not None and task.uncancel() == 0

    async def _process(self, handler: Handler, records: Records) -> None:
        self._in_pass = True
        busy = self._busy_seconds()
        try:
            await handler.process(self._batch(records))
        finally:
            self._in_pass = False
        # Heartbeats and health share the event loop: passes that keep it busy for long get shorter, then longer again.
        if self._busy_seconds() - busy > SLOW_SECONDS:
            self._limit = max(SMALLEST_PASS, self._limit // 2)
        else:
            self._limit = min(self._plan.max_records, self._limit * 2)
        self._metrics.passes.inc()
        self._metrics.records.inc(sum(map(len, records.values())))

    def _seconds_to_wait(self, due: int | None) -> float:
        if due is None:
            return IDLE_SECONDS
        return min(IDLE_SECONDS, max(0.0, (due - self._clock.now()) / 1_000_000))

    async def _fetch(self, seconds: float) -> Records:
        """Wait for records; when there are some of the inputs that come last, read the others to the end known now."""
        found: Records = {}
        self._add(found, await self._member.fetch(self._inputs, seconds, FETCH_RECORDS))
        if not self._to_the_end or not any(
            tail.topic in found for tail in self._inputs if tail not in self._to_the_end
        ):
            return found
        ends = await self._member.stable_offsets(self._to_the_end)
        behind = [tail for tail in self._to_the_end if await self._member.position(tail) < ends[tail]]
        while behind:
            self._add(found, await self._member.fetch(behind, BEHIND_SECONDS, FETCH_RECORDS))
            behind = [tail for tail in behind if await self._member.position(tail) < ends[tail]]
        return found

    def _add(self, found: Records, fetched: Mapping[Tail, Sequence[Record]]) -> None:
        offsets = self._store.position.offsets
        for tail, records in fetched.items():
            known = offsets.get(tail.topic, 0)
            kept = [record for record in records if record.offset >= known]  # R5
            if kept:
                found.setdefault(tail.topic, []).extend(kept)

    def _portions(self, fetched: Records) -> Iterable[Records]:
        """Split what was fetched so that no pass takes too much; inputs that are read to the end go first."""
        first = {tail.topic for tail in self._to_the_end}
        ordered = [
            (topic, record)
            for topic in sorted(fetched, key=lambda name: name not in first)
            for record in fetched[topic]
        ]
        portion: Records = {}
        size = count = 0
        for topic, record in ordered:
            length = len(record.value or b"")
            if count and (count >= self._limit or size + length > self._plan.max_bytes):
                yield portion
                portion, size, count = {}, 0, 0
            portion.setdefault(topic, []).append(record)
            size, count = size + length, count + 1
        if portion:
            yield portion

    def _batch(self, records: Records) -> Batch:
        position = self._store.position
        return Batch(
            number=position.pass_number + 1,
            now=max(self._clock.now(), position.now),
            records={
                wanted.topic: tuple(records[wanted.topic]) for wanted in self._plan.inputs if wanted.topic in records
            },
        )

    async def commit(self, outputs: Sequence[Write], changes: Sequence[Change], batch: Batch | None) -> None:
        """Write everything in one transaction (see ports.Committer)."""
        assert self._transactions is not None  # noqa: S101  # a handler lives only while its producer does
        position = self._moved(batch)
        changelog = self._plan.changelog
        kept = (Write(changelog, change.key, change.value) for change in changes if not change.local)
        writes = [*outputs, *kept]
        writes.append(Write(changelog, POSITION_KEY, position.encoded()))
        for write in writes:
            if write.value is not None and len(write.value) > MAX_RECORD_BYTES:
                raise ValueError(f"a record of {len(write.value)} bytes for {write.topic} is too large")
        with self._metrics.commit_seconds.time():
            next_offset = await self._transactions.write(writes, changelog)
        self._store.merge(changes, position, next_offset)  # R6: not before the commit

    def _moved(self, batch: Batch | None) -> Position:
        position = self._store.position
        if batch is None:
            return position
        offsets = dict(position.offsets)
        for topic, records in batch.records.items():
            offsets[topic] = records[-1].offset + 1
        return Position(offsets, batch.number, batch.now)

    def positions(self) -> Mapping[str, int]:
        """Return the next offset of each input."""
        return self._store.position.offsets

    async def _wait_given_up(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._given_up.wait()
        except TimeoutError:
            return
