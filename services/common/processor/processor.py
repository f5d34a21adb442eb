"""Which partitions this process works on: membership of a consumer group, one task for each partition.

A partition is paused as the first thing when it is assigned, since records arrive while the callback still runs.
Callbacks never raise: aiokafka would swallow it and go on. What goes wrong in them ends the process instead.
The inputs are co-partitioned: the same partition numbers of all of them, or the process refuses to decide.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import structlog

from services.common.clock import Clock
from services.common.processor.errors import AssignmentError
from services.common.processor.log import Log, Tail
from services.common.processor.metrics import ProcessorMetrics
from services.common.processor.partition import Partition
from services.common.processor.ports import HandlerFactory, Plan

GIVE_UP_SECONDS = 14.0
LAG_COMMIT_SECONDS = 5.0


class Processor:
    """Runs a handler for every partition that the group assigns to this process."""

    def __init__(
        self,
        plan: Plan,
        log: Log,
        instance: str,
        make_handler: HandlerFactory,
        clock: Clock,
        metrics: ProcessorMetrics,
        busy_seconds: Callable[[], float] = time.thread_time,
    ) -> None:
        self._plan = plan
        self._log = log
        self._make_handler = make_handler
        self._clock = clock
        self._metrics = metrics
        self._busy_seconds = busy_seconds
        self._partitions: dict[int, tuple[Partition, asyncio.Task[None]]] = {}
        self._failure: asyncio.Future[None] | None = None
        self._assigned_once = False
        self._tasks: asyncio.TaskGroup | None = None
        self._story = structlog.get_logger()
        self._member = log.member(plan.group, instance)

    def missing(self) -> list[str]:
        """Name what this process still waits for."""
        if not self._assigned_once:
            return ["partitions from the group"]
        return [f"partition {number}" for number, (partition, _) in self._partitions.items() if not partition.opened]

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; then finish the passes under way and leave."""
        self._failure = asyncio.get_running_loop().create_future()
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            stopping = tasks.create_task(stop.wait())
            lag = tasks.create_task(self._commit_for_lag_tools())
            topics = [wanted.topic for wanted in self._plan.inputs]
            await self._member.start(topics, self.on_partitions_assigned, self.on_partitions_revoked)
            try:
                ends: set[asyncio.Future[Any]] = {stopping, self._failure}
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                if self._failure.done():
                    self._failure.result()
            finally:
                stopping.cancel()
                lag.cancel()
                await self._give_up_all()
                await self._member.stop()

    async def on_partitions_revoked(self) -> None:
        """Finish the pass under way of every partition and let it go."""
        await self._guarded(self._give_up_all())

    async def on_partitions_assigned(self, assigned: Sequence[Tail]) -> None:
        """Start a task for each partition number."""
        self._member.pause(assigned)
        await self._guarded(self._take(assigned))

    async def _guarded(self, work: Coroutine[None, None, None]) -> None:
        assert self._failure is not None  # noqa: S101  # callbacks come after run
        try:
            await work
        except Exception as error:  # noqa: BLE001  # the log's client may swallow it; run() raises it instead
            if not self._failure.done():
                self._failure.set_exception(error)

    async def _take(self, tails: Sequence[Tail]) -> None:
        numbers: dict[str, set[int]] = defaultdict(set)
        for tail in tails:
            numbers[tail.topic].add(tail.partition)
        sets = {frozenset(numbers[wanted.topic]) for wanted in self._plan.inputs}
        if len(sets) > 1:
            raise AssignmentError(f"inputs have different partitions: {dict(numbers)}; they must be co-partitioned")
        assert self._tasks is not None  # noqa: S101  # callbacks come after run
        for number in sorted(next(iter(sets))):
            partition = self._partition(number)
            self._partitions[number] = (partition, self._tasks.create_task(partition.run()))
        self._assigned_once = True
        self._metrics.owned.set(len(self._partitions))
        self._story.info("partitions assigned", numbers=sorted(self._partitions))

    def _partition(self, number: int) -> Partition:
        return Partition(
            number,
            self._plan,
            self._log,
            self._member,
            self._make_handler,
            self._clock,
            self._metrics,
            self._busy_seconds,
        )

    async def _give_up_all(self) -> None:
        owned, self._partitions = self._partitions, {}
        self._metrics.owned.set(0)
        for partition, task in owned.values():
            partition.give_up(task)
        running = [task for _, task in owned.values()]
        if not running:
            return
        _, late = await asyncio.wait(running, timeout=GIVE_UP_SECONDS)
        for task in late:
            # What it was writing is fenced and finished by the next owner (R2).
            task.cancel()

    async def _commit_for_lag_tools(self) -> None:
        """Tell the group where we are, for tools that show lag; nothing of ours reads it (R5)."""
        while True:
            await asyncio.sleep(LAG_COMMIT_SECONDS)
            offsets = {
                Tail(topic, number): offset
                for number, (partition, _) in self._partitions.items()
                if partition.opened
                for topic, offset in partition.positions().items()
            }
            if not offsets:
                continue
            try:
                await self._member.commit(offsets)
            except self._log.failures as error:
                self._story.debug("group offsets not committed", reason=repr(error))
