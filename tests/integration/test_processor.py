"""The promise of the transactional processor, on a real Kafka with real processes: each input counts exactly once."""

import asyncio
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Self

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from services.common import kafka as clients
from services.common.settings import CommonSettings
from services.common.topics import Topics
from tests.support.copier import processor
from tests.support.settings import child_environment
from tests.support.waiting import wait_until_async

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


@contextmanager
def copier(kafka: str, topics: Topics, instance: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.copier"],
        env=child_environment(
            CLARION_KAFKA_BOOTSTRAP=kafka,
            CLARION_TOPIC_PREFIX=topics.prefix,
            CLARION_PARTITIONS=str(topics.partitions),
            CLARION_INSTANCE=instance,
        ),
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


class Copies:
    """What the copier has committed, partition by partition."""

    def __init__(self, kafka: str, topics: Topics) -> None:
        self._consumer = AIOKafkaConsumer(**clients.consumer_settings(kafka, "test"))
        self._tails = [TopicPartition(topics.decisions, number) for number in range(topics.partitions)]
        self.found: dict[int, list[tuple[int, str]]] = defaultdict(list)

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        self._consumer.assign(self._tails)
        await self._consumer.seek_to_beginning(*self._tails)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def count(self) -> int:
        for tail, records in (await self._consumer.getmany(timeout_ms=100)).items():
            self.found[tail.partition] += [
                msgspec.json.decode(record.value or b"", type=tuple[int, str]) for record in records
            ]
        return sum(map(len, self.found.values()))


async def _produce(kafka: str, topics: Topics, texts: list[str]) -> None:
    producer = AIOKafkaProducer(**clients.producer_settings(kafka, "test"))
    await producer.start()
    try:
        for text in texts:
            await producer.send_and_wait(topics.events, text.encode(), key=text.encode())
    finally:
        await producer.stop()


async def test_each_input_counts_once_though_processes_are_killed(kafka: str, topics: Topics) -> None:
    texts = [str(number) for number in range(2_000)]
    async with Copies(kafka, topics) as copies, asyncio.TaskGroup() as tasks:
        tasks.create_task(_produce(kafka, topics, texts))
        for limit in (300, 700, 1_100):
            with copier(kafka, topics, "a") as first:
                await wait_until_async(partial(_at_least, copies, limit), 40)
                first.kill()
        with copier(kafka, topics, "a"):
            await wait_until_async(lambda: _at_least(copies, 1_500), 40)
            with copier(kafka, topics, "b"):  # the partitions are shared out anew while records arrive
                await wait_until_async(lambda: _at_least(copies, len(texts)), 60)
    for found in copies.found.values():
        assert [count for count, _ in found] == list(range(len(found)))
    assert sorted(int(text) for found in copies.found.values() for _, text in found) == list(range(len(texts)))


async def _at_least(copies: Copies, count: int) -> bool:
    return await copies.count() >= count


async def test_a_process_ends_when_partitions_do_not_belong_together(kafka: str, topics: Topics) -> None:
    settings = CommonSettings(kafka_bootstrap=kafka, topic_prefix=topics.prefix, partitions=topics.partitions)
    uneven = processor(settings, extra_input=topics.policies)
    with pytest.RaisesGroup(pytest.RaisesExc(Exception, match="must be co-partitioned")):
        await uneven.run(asyncio.Event())
