"""One seed: processes that run the real processor on the model of Kafka, and everything that goes wrong for them."""

import asyncio
from collections.abc import Iterator
from random import Random
from typing import Any

import structlog

from services.common.processor.log import Tail
from services.common.processor.metrics import ProcessorMetrics
from services.common.processor.processor import Processor
from tests.simulation.broker import Broker
from tests.simulation.business import Business, drained, last_position, wrong
from tests.simulation.clients import SimLog
from tests.simulation.counting import Counting
from tests.simulation.errors import SimError
from tests.simulation.faults import Faults
from tests.simulation.group import SESSION_SECONDS, Group
from tests.simulation.loop import Loop, Process
from tests.simulation.routing import Routing
from tests.simulation.verdict import Figures, Verdict

METRICS = ProcessorMetrics("simulation")
REST_SECONDS = 50.0
LAST_SECONDS = 120.0
MAX_STEPS = 400_000


class SimClock:
    """The clock of one process, a little fast: the next owner's may be behind."""

    def __init__(self, broker: Broker, skew: int) -> None:
        self._broker = broker
        self._skew = skew

    def now(self) -> int:
        return self._broker.now() + self._skew


class Slot:
    """A place where a process runs, and is started again."""

    def __init__(self, number: int, instance: str) -> None:
        self.number = number
        self.instance = instance
        self.starts = 0
        self.process: Process | None = None
        self.processor: Processor | None = None
        self.stop = asyncio.Event()


class World:
    """Everything of one seed."""

    def __init__(self, seed: int, make_business: type[Business], kind: type[Processor], rate: float | None) -> None:
        self.random = Random(seed)  # noqa: S311  # a seed must reproduce it
        self.loop = Loop(Random(seed + 1))  # noqa: S311  # as above
        self.figures = Figures(seeds=1)
        self.business = make_business(self.random.choice((1, 2, 2, 3)))
        self._kind = kind
        self._story = structlog.get_logger()
        random = self.random
        self.broker = Broker(
            self.loop,
            random,
            verifies=random.random() < 0.5,
            forgets=random.choice((0.0, 0.0, 0.02)),
            changelogs=frozenset({self.business.plan.changelog}),
        )
        self.faults = Faults(self.loop, random, self.broker, rate)
        self.group = Group(self.loop, self.business.partitions)
        static = random.random() < 0.7
        self._slots = [Slot(n, f"i{n}" if static else "") for n in range(random.choice((1, 2, 2, 3)))]
        self._extra: list[Process] = []
        self._crashes: list[str] = []
        self._quiet = False
        self._at_rest = False
        self._chaos_every = random.choice((25, 100, 400))

    # --- processes ---

    def start(self, slot: Slot) -> None:
        """Start the process of a slot."""
        slot.starts += 1
        slot.stop = asyncio.Event()
        process = slot.process = Process(f"{slot.number}.{slot.starts}")
        log = SimLog(self.loop, self.random, self.broker, self.group, self.faults, process.name)
        clock = SimClock(self.broker, self.random.randrange(300_000))
        handlers = self.business.handlers(clock)
        self.loop.start(process, self._main(slot, process, log, handlers, clock))

    async def _main(self, slot: Slot, process: Process, log: SimLog, handlers: Any, clock: SimClock) -> None:
        processor = slot.processor = self._kind(
            self.business.plan, log, slot.instance, handlers, clock, METRICS, lambda: 0.0
        )
        try:
            await processor.run(slot.stop)
        except (Exception, ExceptionGroup) as error:  # noqa: BLE001  # judged here
            self._crashes += [repr(each) for each in _leaves(error) if not isinstance(each, SimError | TimeoutError)]
        self.loop.later(0.1, self._restart, slot, process)

    def _restart(self, slot: Slot, process: Process) -> None:
        if slot.process is process and not self.faults.over:
            self.loop.kill(process)
            self.start(slot)

    def _tell(self, what: str, process: Process) -> None:
        self._story.info(what, who=process.name)

    def _thaw(self, process: Process) -> None:
        if process.frozen and not process.dead:
            self._tell("wakes up", process)
            self.loop.thaw(process)

    def _bury(self, process: Process) -> None:
        if not process.dead:
            self._tell("killed", process)
            self.loop.kill(process)

    def _kill(self, slot: Slot) -> None:
        assert slot.process is not None
        self.figures.kills += 1
        self._tell("killed", slot.process)
        self.loop.kill(slot.process)
        self.loop.later(self.random.choice((0.01, 0.1, 1.0)) * self.random.random(), self._restart, slot, slot.process)

    def _freeze(self, slot: Slot) -> None:
        """Make a zombie: it is taken for dead, somebody else goes on in its place, and then it wakes up."""
        process = slot.process
        assert process is not None
        self.figures.freezes += 1
        self._tell("frozen", process)
        self.loop.freeze(process)
        random = self.random
        if random.random() < 0.5:
            # Its supervisor starts another one at once.
            self._extra.append(process)
            slot.process = None
            self.start(slot)
            self.loop.later(random.choice((0.05, 0.3, 2.0)) * random.random(), self._thaw, process)
            self.loop.later(random.uniform(0.5, 5), self._bury, process)
        else:
            seconds = random.choice((0.5, SESSION_SECONDS + 3)) * random.uniform(0.8, 1.1)
            self.loop.later(seconds, self._thaw, process)

    # --- what goes wrong ---

    def _alarm(self) -> None:
        if self._quiet:
            return
        self._do_harm()
        self.loop.alarm_at = self.loop.steps + 1 + int(self.random.expovariate(1 / self._chaos_every))

    def _do_harm(self) -> None:
        random = self.random
        slot = random.choice(self._slots)
        awake = slot.process is not None and not slot.process.dead and not slot.process.frozen
        match random.choice(("kill",) * 5 + ("freeze",) * 3 + ("stop", "broker", "offsets", "compact")):
            case "kill" if awake:
                self._kill(slot)
            case "freeze" if awake:
                self._freeze(slot)
            case "stop" if awake:
                self.figures.stops += 1
                self._story.info("stopped", who=slot.process.name if slot.process else "")
                slot.stop.set()
            case "broker":
                self.figures.restarts_of_the_broker += 1
                self.broker.down_until = self.loop.time() + random.choice((0.05, 0.5, 3.0)) * random.random()
                self._story.info("broker restarted", until=self.broker.down_until)
            case "offsets":
                self._move_offsets()
            case "compact":
                self._compact()
            case _:
                pass

    def _move_offsets(self) -> None:
        self.figures.offsets_moved += 1
        offsets = self.group.offsets
        for tail in list(offsets):
            if self.random.random() < 0.3:
                del offsets[tail]
            else:
                offsets[tail] = self.random.randrange(offsets[tail] + 5)

    def _compact(self) -> None:
        self.figures.compactions += 1
        for number in range(self.business.partitions):
            changelog = self.broker.partition(Tail(self.business.plan.changelog, number))
            changelog.compact(self.broker.now(), self.random.randrange(changelog.end + 1))

    # --- the run ---

    def run(self) -> Verdict:
        """Run the seed and judge it."""
        try:
            problems = tuple(self._run())
        finally:
            self.faults.over = True
            self.loop.close()
        figures = self.figures
        figures.rebalances = self.group.rebalances
        figures.failed_calls = self.faults.failed_calls()
        figures.timed_out, figures.hanging = self.broker.timed_out, self.broker.forgotten
        figures.steps = self.loop.steps
        changelog = self.business.plan.changelog
        figures.passes = sum(
            last_position(self.broker, Tail(changelog, number)).pass_number
            for number in range(self.business.partitions)
        )
        return Verdict(0, problems, figures)

    def _run(self) -> Iterator[str]:
        loop = self.loop
        last = self.business.publish(loop, self.broker, self.random)
        for slot in self._slots:
            loop.later(self.random.uniform(0, 1), self.start, slot)
        loop.on_alarm = self._alarm
        loop.alarm_at = 1 + int(self.random.expovariate(1 / self._chaos_every))
        loop.later(last, self._rest)
        if not loop.run(lambda: self._at_rest, last + REST_SECONDS, MAX_STEPS):
            if not self.broker.forgotten:
                yield "a partition stands still, though no transaction hangs"
            loop.later(0.0, self._operate)
            loop.run(lambda: self._at_rest, loop.time() + LAST_SECONDS, MAX_STEPS)
        yield from self._crashes
        if not self._at_rest:
            yield "not everything was taken"
        yield from wrong(self.business, self.broker, dict(self._stores()))

    def _rest(self) -> None:
        """Let everything that was broken be whole again, and what was frozen go on."""
        self._quiet = self.faults.quiet = True
        for process in (*self._extra, *(slot.process for slot in self._slots if slot.process is not None)):
            self._thaw(process)
        self._look()

    def _operate(self) -> None:
        """Do what a partition that failed waits for: make the log whole and start the processes anew."""
        self._story.info("an operator aborts what hangs and starts all processes anew")
        self.figures.operators += 1
        self.broker.abort_hanging()
        for slot in self._slots:
            if slot.process is not None:
                self.loop.kill(slot.process)
                self._restart(slot, slot.process)

    def _look(self) -> None:
        if drained(self.business, self.broker):
            self._at_rest = True
        else:
            self.loop.later(0.3, self._look)

    def _stores(self) -> Iterator[tuple[int, dict[bytes, bytes]]]:
        for slot in self._slots:
            if slot.processor is not None and slot.process is not None and not slot.process.dead:
                for number, (partition, _) in slot.processor._partitions.items():
                    # A zombie that was not found out yet may stand further back.
                    last = last_position(self.broker, Tail(self.business.plan.changelog, number))
                    if partition.opened and partition._store.position.pass_number == last.pass_number:
                        yield number, dict(partition._store.items())


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error


def simulate(
    seed: int,
    kind: type[Processor] = Processor,
    business: type[Business] | None = None,
    rate: float | None = None,
) -> Verdict:
    """Run one seed; even seeds count, odd ones route. The share of requests that go wrong is drawn if not given."""
    verdict = World(seed, business or (Routing if seed % 2 else Counting), kind, rate).run()
    verdict.seed = seed
    return verdict
