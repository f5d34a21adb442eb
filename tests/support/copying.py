"""The copier as processes that can be killed, what it is given to copy, and what it has committed."""

import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Self

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from services.common import kafka as clients
from services.common.topics import Topics
from tests.support.settings import child_environment


@contextmanager
def copier(
    kafka: str, topics: Topics, instance: str, log: IO[bytes] | None = None, **settings: str
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.copier"],
        env=child_environment(
            CLARION_KAFKA_BOOTSTRAP=kafka,
            CLARION_TOPIC_PREFIX=topics.prefix,
            CLARION_PARTITIONS=str(topics.partitions),
            CLARION_INSTANCE=instance,
            **settings,
        ),
        stderr=log,
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


async def produce(kafka: str, topics: Topics, texts: list[str]) -> None:
    producer = AIOKafkaProducer(**clients.producer_settings(kafka, "test"))
    await producer.start()
    try:
        for text in texts:
            await producer.send_and_wait(topics.events, text.encode(), key=text.encode())
    finally:
        await producer.stop()


def assert_counted_once(copies: Copies, texts: list[str]) -> None:
    for found in copies.found.values():
        assert [count for count, _ in found] == list(range(len(found)))
    assert sorted(int(text) for found in copies.found.values() for _, text in found) == sorted(map(int, texts))
