"""The router's only I/O loop: the processor, the policies it follows, and its health."""

import asyncio

from services.common.clock import WallClock
from services.common.health import serve_health
from services.common.processor.kafka import KafkaLog
from services.common.processor.metrics import ProcessorMetrics
from services.common.processor.ports import Batch, Committer, Handler, Input, Plan, Store
from services.common.processor.processor import Processor
from services.common.processor.stores import configured_stores
from services.common.tables import Table
from services.common.topics import Topics
from services.policy.registry import Registry
from services.router import fanout, metrics
from services.router.deciding import Pass, lifted
from services.router.indexes import INDEX
from services.router.settings import RouterSettings
from services.router.state import Room, State

POLICY_SECONDS = 0.2


class Deciding:
    """The business of one partition of the router (a processor's handler)."""

    def __init__(
        self, partition: int, state: State, committer: Committer, topics: Topics, registry: Registry, tenant: str
    ) -> None:
        self._partition = partition
        self._state = state
        self._committer = committer
        self._topics = topics
        self._registry = registry
        self._tenant = tenant
        self._counted = (0, 0)
        self._now = 0
        self._count(state.holds, len(state.fanouts))

    async def process(self, batch: Batch) -> None:
        """Decide a batch and commit it."""
        work = Pass(batch, self._partition, self._topics, self._registry, self._state, self._tenant)
        work.decide_all()
        await self._committer.commit(work.outputs, self._state.changes(), batch)
        self._state.committed()
        self._now = batch.now
        self._count(self._state.holds, len(self._state.fanouts))

    def next_due(self) -> int | None:
        """Return when the next hold is due, or a fan-out goes on: now if a control that paused some was lifted."""
        # What a control that has ended by itself paused has timers of its own.
        if lifted(self._state, self._registry, 0, 1):
            return 0
        dues = (fanout.next_due(self._state, self._registry, self._now), self._state.timers.next_due())
        return min((due for due in dues if due is not None), default=None)

    async def drain(self) -> None:
        """Nothing is under way between passes."""

    async def close(self) -> None:
        """Take the partition's holds and fan-outs out of the count."""
        self._count(0, 0)
        self._state.close()

    def _count(self, holds: int, running: int) -> None:
        before_holds, before_running = self._counted
        metrics.HOLDS.inc(holds - before_holds)
        metrics.FANOUTS.inc(running - before_running)
        self._counted = (holds, running)


async def serve(settings: RouterSettings, stop: asyncio.Event) -> None:
    """Decide until `stop` is set."""
    topics = Topics(settings.topic_prefix, settings.partitions)
    registry = Registry(served=topics.channels)
    room = Room(settings.router_cached_customers)
    policies = Table(settings.kafka_bootstrap, topics.policies, registry.take, "clarion-router-policies")
    controls = Table(settings.kafka_bootstrap, topics.controls, registry.take_control, "clarion-router-controls")
    plan = Plan(
        application="router",
        group=f"{settings.topic_prefix}clarion-router",
        inputs=(
            Input(topics.changes, to_the_end=True),
            Input(topics.feedback, to_the_end=True),
            Input(topics.fanouts),
            Input(topics.events),
        ),
        changelog=topics.state,
        stores=configured_stores(settings),
        index=INDEX,
    )

    async def make_handler(partition: int, store: Store, committer: Committer) -> Handler:
        # Without any policy nothing can be decided: events wait in their topic until there is one.
        while not registry.tenants():  # noqa: ASYNC110  # the registry is pure and knows no events
            await asyncio.sleep(POLICY_SECONDS)
        state = State(store, room, partition)
        return Deciding(partition, state, committer, topics, registry, settings.tenant)

    processor = Processor(
        plan,
        KafkaLog(settings.kafka_bootstrap),
        settings.instance,
        make_handler,
        WallClock(),
        ProcessorMetrics("router"),
    )

    def missing() -> list[str]:
        waits = processor.missing()
        return waits if registry.tenants() else [*waits, "a policy: clarion policy activate DIR"]

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(serve_health(settings.bind, settings.router_health_port, missing, stop))
        try:
            await controls.start()
            await policies.start()
            following = [tasks.create_task(table.follow(stop)) for table in (controls, policies)]
            await processor.run(stop)
            await asyncio.gather(*following)
        finally:
            await controls.stop()
            await policies.stop()
