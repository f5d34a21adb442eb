"""The doors as a real process, and the example policy put in force as `clarion policy activate` does."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import BinaryIO

import grpc
import httpx2
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import ConsumerRecord
from msgspec import Struct

from services.common import kafka as clients
from services.common.topics import Topics
from services.control.ports import free_ports
from services.policy.bundle import read_folder
from services.policy.codec import Activation, StoredBundle, activation_record, bundle_record
from tests.support.kafka import created_topics
from tests.support.settings import child_environment
from tests.support.waiting import wait_until

EXAMPLE = Path(__file__).parents[2] / "deploy" / "policy"


class Doors(Struct, frozen=True):
    """A running process of the doors."""

    process: subprocess.Popen[bytes]
    address: str
    health: str

    def waits_for(self) -> list[str] | None:
        """Return what it waits for; None while it does not answer."""
        try:
            answer = httpx2.get(f"{self.health}/ready", timeout=5)
        except httpx2.TransportError:
            return None
        return list(answer.json()["waits_for"])

    def metric(self, series: str) -> float:
        """Return the value of a series."""
        lines = httpx2.get(f"{self.health}/metrics", timeout=5).text.splitlines()
        return next(float(line.removeprefix(series)) for line in lines if line.startswith(f"{series} "))

    def stop(self) -> int:
        """End it as an operator does, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20)


@contextmanager
def doors(kafka: str, topics: Topics, *, log: BinaryIO | None = None, **settings: str) -> Iterator[Doors]:
    """Run the doors until the test is over; they may not be ready yet."""
    grpc_port, health_port = free_ports(2)
    environment = {
        "CLARION_KAFKA_BOOTSTRAP": kafka,
        "CLARION_TOPIC_PREFIX": topics.prefix,
        "CLARION_PARTITIONS": str(topics.partitions),
        "CLARION_INGEST_GRPC_PORT": str(grpc_port),
        "CLARION_INGEST_HEALTH_PORT": str(health_port),
        **settings,
    }
    command = [sys.executable, "-m", "services.ingest"]
    process = subprocess.Popen(command, env=child_environment(**environment), stderr=log)
    running = Doors(process, f"127.0.0.1:{grpc_port}", f"http://127.0.0.1:{health_port}")
    try:
        wait_until(lambda: process.poll() is not None or running.waits_for() is not None, 30)
        assert process.poll() is None, f"the doors ended with {process.returncode}"
        yield running
    finally:
        process.kill()
        process.wait()


async def activate_example(kafka: str, topics: Topics) -> None:
    """Put the example policy in force."""
    bundle = read_folder(EXAMPLE)
    records = (
        bundle_record(StoredBundle("northwind", bundle.hash, bundle.files)),
        activation_record(Activation("northwind", bundle.hash, "test", 0)),
    )
    producer = AIOKafkaProducer(**clients.producer_settings(kafka, "test"))
    await producer.start()
    try:
        for key, value in records:
            await producer.send_and_wait(topics.policies, value, key)
    finally:
        await producer.stop()


@asynccontextmanager
async def ready_doors(kafka: str, topics: Topics, **settings: str) -> AsyncIterator[tuple[Doors, grpc.aio.Channel]]:
    """Run the doors with the example policy, and connect to them."""
    await activate_example(kafka, topics)
    with doors(kafka, topics, log=None, **settings) as running:
        wait_until(lambda: running.waits_for() == [], 20)
        async with grpc.aio.insecure_channel(running.address) as channel:
            yield running, channel


class Open(Struct, frozen=True):
    """Doors with the example policy and the default tenant, shared by tests that only add events."""

    running: Doors
    topics: Topics
    kafka: str

    def channel(self) -> grpc.aio.Channel:
        """Connect in the loop of a test."""
        return grpc.aio.insecure_channel(self.running.address)


@contextmanager
def open_doors(kafka: str) -> Iterator[Open]:
    """Run doors for several tests; each of them has a loop of its own, so this has another."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        creating = created_topics(kafka)
        topics = runner.run(creating.__aenter__())
        try:
            runner.run(activate_example(kafka, topics))
            with doors(kafka, topics, CLARION_TENANT="northwind") as running:
                wait_until(lambda: running.waits_for() == [], 20)
                yield Open(running, topics, kafka)
        finally:
            runner.run(creating.__aexit__(None, None, None))


async def record_at(kafka: str, topic: str, partition: int, offset: int) -> "ConsumerRecord[bytes, bytes]":
    """Read one record."""
    consumer = AIOKafkaConsumer(**clients.consumer_settings(kafka, "test"))
    await consumer.start()
    try:
        place = TopicPartition(topic, partition)
        consumer.assign([place])
        consumer.seek(place, offset)
        return await consumer.getone()
    finally:
        await consumer.stop()
