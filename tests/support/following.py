"""Follows what a test's services commit: decisions and feedback, as they come."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition

from services.common import kafka as clients
from services.common.processor.ports import Record
from services.common.topics import Topics
from services.control import codec
from services.control.read import readable
from services.control.records import DecisionRecord, FeedbackRecord
from services.router.decision.model import Feedback
from tests.support.waiting import wait_until_async

FINAL = frozenset({Feedback.ACCEPTED, Feedback.REJECTED, Feedback.EXPIRED, Feedback.SUPPRESSED})


class Following:
    """Everything decided and everything heard of sends so far."""

    def __init__(self, consumer: AIOKafkaConsumer, topics: Topics) -> None:
        self._consumer = consumer
        self._topics = topics
        self.decisions: list[DecisionRecord] = []
        self.feedback: list[FeedbackRecord] = []

    async def until(self, condition: Callable[["Following"], object], deadline_s: float = 60) -> None:
        """Read on until the condition holds."""

        async def holds() -> bool:
            await self._read()
            return bool(condition(self))

        await wait_until_async(holds, deadline_s)

    def ended(self) -> int:
        """Return how many decisions have ended."""
        return sum(decision.terminal for decision in self.decisions)

    def sends(self) -> set[bytes]:
        """Return the sends that were decided."""
        return {send_id for decision in self.decisions for send_id in decision.send_ids}

    def settled(self) -> set[bytes]:
        """Return the sends whose outcome is final, or that are parked."""
        return {finding.send_id for finding in self.feedback if finding.outcome in FINAL or finding.parked}

    async def _read(self) -> None:
        for tail, records in (await self._consumer.getmany(timeout_ms=100)).items():
            found = [
                Record(tail.topic, tail.partition, each.offset, each.timestamp * 1000, each.key, each.value)
                for each in records
            ]
            if tail.topic == self._topics.feedback:
                self.feedback += readable(codec.feedback, found)
            else:
                self.decisions += [each for each in readable(codec.decision, found) if each is not None]


@asynccontextmanager
async def following(kafka: str, topics: Topics) -> AsyncIterator[Following]:
    """Follow from the beginning."""
    consumer = AIOKafkaConsumer(**clients.consumer_settings(kafka, "test-following"))
    await consumer.start()
    try:
        tails = [
            TopicPartition(topic, number)
            for topic in (topics.decisions, topics.feedback)
            for number in range(topics.partitions)
        ]
        consumer.assign(tails)
        await consumer.seek_to_beginning(*tails)
        yield Following(consumer, topics)
    finally:
        await consumer.stop()
