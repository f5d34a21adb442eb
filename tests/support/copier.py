"""The smallest business on the processor: copies each input once and counts it. Run as a process, it can be killed."""

import asyncio

import msgspec

from services.common import lifecycle
from services.common.clock import WallClock
from services.common.processor.kafka import KafkaLog
from services.common.processor.metrics import ProcessorMetrics
from services.common.processor.ports import Batch, Change, Committer, Handler, Input, Plan, Store, Write
from services.common.processor.processor import Processor
from services.common.processor.stores import configured_stores
from services.common.settings import StateSettings
from services.common.topics import Topics

METRICS = ProcessorMetrics("copier")


class Copier:
    """Writes each event to the decisions topic with the number of events seen before it on its partition."""

    def __init__(self, store: Store, committer: Committer, topics: Topics) -> None:
        self._committer = committer
        self._topics = topics
        self._count = int(store.get(b"count") or b"0")

    async def process(self, batch: Batch) -> None:
        outputs = []
        for record in batch.records.get(self._topics.events, ()):
            value = msgspec.json.encode([self._count, (record.value or b"").decode()])
            outputs.append(Write(self._topics.decisions, b"copy", value))
            self._count += 1
        await self._committer.commit(outputs, [Change(b"count", str(self._count).encode())], batch)

    def next_due(self) -> int | None:
        return None

    async def drain(self) -> None:
        pass

    async def close(self) -> None:
        pass


def processor(settings: StateSettings, extra_input: str = "") -> Processor:
    topics = Topics(settings.topic_prefix, settings.partitions)
    extra = (Input(extra_input),) if extra_input else ()
    plan = Plan(
        application="copier",
        group=f"{settings.topic_prefix}copier",
        inputs=(Input(topics.changes, to_the_end=True), Input(topics.events), *extra),
        changelog=topics.state,
        stores=configured_stores(settings),
    )

    async def make(partition: int, store: Store, committer: Committer) -> Handler:
        _ = partition
        return Copier(store, committer, topics)

    return Processor(plan, KafkaLog(settings.kafka_bootstrap), settings.instance, make, WallClock(), METRICS)


if __name__ == "__main__":
    settings = StateSettings()

    async def service(stop: asyncio.Event) -> None:
        await processor(settings).run(stop)

    lifecycle.run("copier", settings, service)
