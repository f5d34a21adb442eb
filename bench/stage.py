"""A Kafka, its topics, a policy in force, customers: what a benchmark stands on."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import psutil
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from services.common import kafka
from services.common.clock import WallClock
from services.common.partitions import partition_of
from services.common.topics import Topic, Topics
from services.control.broker import cluster
from services.control.topics import apply, connected, create_topics
from services.policy.bundle import read_folder
from services.policy.codec import Activation, StoredBundle, activation_record, bundle_record
from tests.support.settings import child_environment

PARTITIONS = 4
TENANT = "northwind"
POLICY = Path(__file__).parent.parent / "deploy" / "policy"


Message = tuple[bytes, bytes, list[tuple[str, bytes]]]


class Stage:
    """Where a benchmark runs."""

    def __init__(self, bootstrap: str, topics: Topics) -> None:
        self.bootstrap = bootstrap
        self.topics = topics

    def environment(self, **changes: str) -> dict[str, str]:
        return child_environment(
            CLARION_KAFKA_BOOTSTRAP=self.bootstrap,
            CLARION_TOPIC_PREFIX=self.topics.prefix,
            CLARION_PARTITIONS=str(self.topics.partitions),
            CLARION_LOG_LEVEL="warning",
            **changes,
        )

    async def write(self, topic: str, records: Sequence[Message]) -> None:
        """Write records to the partitions of their keys and await all of them."""
        producer = AIOKafkaProducer(**kafka.producer_settings(self.bootstrap, "bench"))
        await producer.start()
        try:
            count = 1 if topic in {self.topics.policies, self.topics.controls} else self.topics.partitions
            futures = [
                await producer.send(topic, value, key=key, headers=headers, partition=partition_of(key, count))
                for key, value, headers in records
            ]
            await asyncio.gather(*futures)
        finally:
            await producer.stop()

    async def create(self, name: str) -> str:
        """Create one more topic with the partitions of the others; return its name."""
        wanted = Topic(f"{self.topics.prefix}{name}", self.topics.partitions, 1, {})
        async with connected(self.bootstrap) as admin:
            await create_topics(admin, [wanted])
        return wanted.name

    async def end(self, topic: str) -> dict[TopicPartition, int]:
        """Return the end offsets of a topic."""
        consumer = AIOKafkaConsumer(**kafka.consumer_settings(self.bootstrap, "bench"))
        await consumer.start()
        try:
            tails = [TopicPartition(topic, number) for number in range(self.topics.partitions)]
            ends: dict[TopicPartition, int] = await consumer.end_offsets(tails)
            return ends
        finally:
            await consumer.stop()

    async def await_records(self, since: dict[TopicPartition, int], count: int, key: bytes = b"") -> None:
        """Return once `count` records (not keyed `key`) are committed after the offsets `since`; fail after 180 s."""
        consumer = AIOKafkaConsumer(**kafka.consumer_settings(self.bootstrap, "bench"))
        await consumer.start()
        try:
            consumer.assign(list(since))
            for tail, offset in since.items():
                consumer.seek(tail, offset)
            async with asyncio.timeout(180):
                while count > 0:
                    for records in (await consumer.getmany(timeout_ms=100)).values():
                        count -= sum(record.key != key for record in records)
        finally:
            await consumer.stop()

    async def activate_policy(self) -> None:
        await self.write(self.topics.policies, [(key, value, []) for key, value in active_policy()])


def active_policy() -> list[tuple[bytes, bytes]]:
    """Return the records that put the example policy in force."""
    bundle = read_folder(POLICY)
    return [
        bundle_record(StoredBundle(TENANT, bundle.hash, bundle.files)),
        activation_record(Activation(TENANT, bundle.hash, "bench", WallClock().now())),
    ]


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    """Set a stage on a Kafka of its own."""
    with tempfile.TemporaryDirectory() as home:
        running = await cluster.start(ephemeral=True, jvm="steady", home=Path(home) / "kafka")
        try:
            topics = Topics("bench-", PARTITIONS)
            await apply(running.bootstrap, topics)
            found = Stage(running.bootstrap, topics)
            await found.activate_policy()
            yield found
        finally:
            await running.stop()


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def machine() -> str:
    """Say what machine the figures are of."""
    return (
        f"{psutil.cpu_count()} cores, {psutil.virtual_memory().total >> 30} GiB, {os.uname().sysname}, {_processor()}"
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return os.uname().machine


def json_bytes(value: object) -> bytes:
    return msgspec.json.encode(value)
