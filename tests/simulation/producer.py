"""The model's transactional producer, with what aiokafka does behind one's back.

A batch that failed doesn't keep the transaction from being committed, and its sequence numbers are used up. A request
that got no answer is asked again without a word, on the same epoch. Its sender outlives a `stop` that hangs.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Any, TypeVar

from msgspec import Struct

from services.common.processor.log import Delivery, Tail
from services.common.processor.ports import Write
from tests.simulation.broker import Broker
from tests.simulation.errors import ConcurrentError, SimError, SimFencedError
from tests.simulation.faults import Fate, Faults
from tests.simulation.loop import Loop

BACKOFF_SECONDS = 0.005
LATE_AFTER_FAILED = 0.3
T = TypeVar("T")


class Written(Struct, frozen=True):
    """Where a batch was written."""

    offset: int


class SimProducer:
    """See log.Producer."""

    def __init__(self, loop: Loop, random: Random, broker: Broker, faults: Faults, name: str) -> None:
        self._loop = loop
        self._random = random
        self._broker = broker
        self._faults = faults
        self._name = name
        self._id = -1
        self._epoch = -1
        self._sequences: dict[Tail, int] = {}
        self._last: dict[Tail, asyncio.Future[Any]] = {}
        self._added: set[Tail] = set()
        self._adding: list[Tail] = []
        self._adding_done: asyncio.Future[None] | None = None
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._stopped = False
        self._fatal: SimError | None = None
        self._asked = self._wanted = 0

    @property
    def repeated(self) -> bool:
        return self._asked > self._wanted

    async def start(self) -> None:
        self._id, self._epoch = await self._call(lambda: self._broker.init(self._name))

    async def begin(self) -> None:
        self._check()
        self._added.clear()

    async def send(self, tail: Tail, writes: Sequence[Write]) -> Sequence[Delivery]:
        self._check()
        if len(writes) > 1 and self._random.random() < 0.1:
            middle = self._random.randrange(1, len(writes))
            return [self._send(tail, writes[:middle]), self._send(tail, writes[middle:])]
        return [self._send(tail, writes)]

    async def commit(self) -> None:
        self._check()
        self._wanted += 1
        ended = self._loop.create_future()
        self._spawn(self._end(ended, commit=True))
        await asyncio.shield(ended)

    async def abort(self) -> None:
        """Abort, as aiokafka can and the processor never does."""
        self._check()
        self._wanted += 1
        ended = self._loop.create_future()
        self._spawn(self._end(ended, commit=False))
        await asyncio.shield(ended)

    async def stop(self) -> None:
        self._faults.check()
        if self._faults.hangs():
            await self._loop.create_future()
        self._stopped = True
        for task in list(self._tasks):
            task.cancel()

    def _check(self) -> None:
        if self._fatal is not None:
            raise self._fatal
        if self._stopped:
            raise SimError("stopped")

    def _spawn(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._tasks[task] = None
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)

    # --- batches ---

    def _send(self, tail: Tail, writes: Sequence[Write]) -> Delivery:
        receipt: asyncio.Future[Any] = self._loop.create_future()
        sequence = self._sequences.get(tail, 0)
        self._sequences[tail] = sequence + len(writes)
        before = self._last.get(tail)
        self._last[tail] = receipt
        if tail not in self._added and tail not in self._adding:
            self._adding.append(tail)
        if self._adding and self._adding_done is None:
            self._adding_done = self._loop.create_future()
            self._spawn(self._add())
        self._spawn(self._deliver(tail, writes, sequence, receipt, before))
        return Delivery(len(writes), receipt)

    async def _add(self) -> None:
        done = self._adding_done
        assert done is not None
        try:
            while self._adding:
                tails = list(self._adding)
                await self._call(partial(self._broker.add, self._name, self._epoch, tails))
                self._added.update(tails)
                self._adding = [tail for tail in self._adding if tail not in tails]
        except SimError as error:
            self._adding.clear()
            self._fatal = error
        finally:
            self._adding_done = None
            if not done.done():
                done.set_result(None)

    async def _deliver(
        self, tail: Tail, writes: Sequence[Write], sequence: int, receipt: Any, before: asyncio.Future[Any] | None
    ) -> None:
        if before is not None and not before.done():
            await asyncio.wait([before])
        while tail not in self._added:
            if self._fatal is not None:
                _fail(receipt, self._fatal)
                return
            if self._adding_done is None:
                _fail(receipt, SimError("not added"))
                return
            await asyncio.shield(self._adding_done)
        name, producer, epoch = self._name, self._id, self._epoch
        try:
            offset = await self._call(
                lambda: self._broker.produce(name, producer, epoch, tail, sequence, writes), fails=True
            )
        except SimError as error:
            if isinstance(error, SimFencedError):
                self._fatal = error
            _fail(receipt, error)
        else:
            if not receipt.done():
                receipt.set_result(Written(offset))

    # --- the end of a transaction ---

    async def _end(self, ended: asyncio.Future[None], *, commit: bool) -> None:
        under_way = [receipt for receipt in self._last.values() if not receipt.done()]
        if under_way:
            await asyncio.wait(under_way)
        name, epoch = self._name, self._epoch

        def ask() -> None:
            self._broker.end(name, epoch, commit=commit)

        try:
            if self._added:
                await self._call(ask, fails=True, end=True)
            elif self._fatal is not None:
                raise self._fatal
        except SimError as error:
            self._fatal = error
            if not ended.done():
                ended.set_exception(error)
        else:
            if not ended.done():
                ended.set_result(None)

    # --- requests ---

    async def _call(self, request: Callable[[], T], *, fails: bool = False, end: bool = False) -> T:
        """Ask until there is an answer."""
        while True:
            self._faults.check()
            self._asked += end
            fate = self._faults.fate()
            if fate in ("failed", "failed after") and fails:
                await self._lose(request, fate)
                raise SimError(fate)
            if fate not in ("well", "copied"):
                await self._lose(request, fate)
                continue
            if fate == "copied":
                self._asked += end  # nothing but asking again makes a copy
                self._loop.later(self._faults.lateness(), _arrive, request, None, self._faults)
            answer: asyncio.Future[Any] = self._loop.create_future()
            self._loop.later(self._faults.latency(), _arrive, request, answer, self._faults)
            try:
                result: T = await answer
            except ConcurrentError:
                self._asked -= end
                await asyncio.sleep(BACKOFF_SECONDS)
            except ConnectionError:
                await asyncio.sleep(BACKOFF_SECONDS * 10)
            else:
                return result

    async def _lose(self, request: Callable[[], object], fate: Fate) -> None:
        """Wait for an answer that doesn't come, whether the request arrives or not."""
        faults = self._faults
        if fate in ("unanswered", "failed after"):
            self._loop.later(faults.latency(), _arrive, request, None, faults)
        elif fate == "late" or (fate == "failed" and self._random.random() < LATE_AFTER_FAILED):
            self._loop.later(faults.lateness(), _arrive, request, None, faults)
        await asyncio.sleep(BACKOFF_SECONDS if fate == "failed" else faults.patience())


def _fail(receipt: asyncio.Future[Any], error: SimError) -> None:
    if not receipt.done():
        receipt.set_exception(error)


def _arrive(request: Callable[[], object], answer: asyncio.Future[Any] | None, faults: Faults) -> None:
    """Let a request have its effect, and send the answer if there is anybody to get it."""
    result: object
    error: Exception | None = None
    if faults.down():
        error, result = ConnectionError(), None
    else:
        try:
            result = request()
        except SimError as raised:
            error, result = raised, None
    if answer is not None:
        faults._loop.later(faults.latency(), _answer, answer, result, error)


def _answer(answer: asyncio.Future[Any], result: object, error: Exception | None) -> None:
    if answer.done():
        return
    if error is not None:
        answer.set_exception(error)
    else:
        answer.set_result(result)
