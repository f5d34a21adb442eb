"""The services as real processes on a test's own topics, with a sandbox for provider; any of them can be killed."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import httpx2
import msgspec
from aiokafka import AIOKafkaProducer

from clarion.v1 import profile_pb2
from services.common import kafka as clients
from services.common.clock import WallClock
from services.common.partitions import partition_of
from services.common.topics import Topics
from services.control.audit.evidence import Evidence
from services.control.mails import taken
from services.control.ports import free_ports
from services.control.read import Log, evidence, reading
from services.control.records import Mail
from services.policy.bundle import read_folder
from services.policy.codec import Activation, StoredBundle, activation_record, bundle_record
from tests.support.sandbox import Sandbox, running_sandbox
from tests.support.settings import child_environment
from tests.support.waiting import wait_until_async

TENANT = "northwind"
POLICY = Path(__file__).parents[2] / "deploy" / "policy"
_MODULES = {
    "ingest": ("services.ingest",),
    "router": ("services.router",),
    "sender": ("services.senders", "email"),
}

Headers = list[tuple[str, bytes]]
Message = tuple[bytes, bytes, Headers]


class Stack:
    """Running services; `start`, `kill` and `stop` them by name: ingest, router, sender."""

    def __init__(self, kafka: str, topics: Topics, sandbox: Sandbox, folder: Path, settings: Mapping[str, str]) -> None:
        self.kafka = kafka
        self.topics = topics
        self.sandbox = sandbox
        names = list(_MODULES)
        ports = free_ports(len(names) + 1)
        self._health = dict(zip(names, ports, strict=False))
        self.grpc = f"127.0.0.1:{ports[-1]}"
        self._folder = folder
        self._environment = child_environment(
            CLARION_KAFKA_BOOTSTRAP=kafka,
            CLARION_TOPIC_PREFIX=topics.prefix,
            CLARION_PARTITIONS=str(topics.partitions),
            CLARION_TENANT=TENANT,
            CLARION_INSTANCE="test",
            CLARION_LOG_FORMAT="plain",
            CLARION_SMTP_PORT=str(sandbox.smtp_port),
            CLARION_INGEST_GRPC_PORT=str(ports[-1]),
            **{f"CLARION_{name.upper()}_HEALTH_PORT": str(port) for name, port in self._health.items()},
            **settings,
        )
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    async def start(self, *names: str) -> None:
        """Start services and wait until they are ready."""
        for name in names:
            self._running[name] = self._spawn(name)
        for name in names:
            await wait_until_async(partial(self._is_ready, name), 60)

    def _spawn(self, name: str) -> subprocess.Popen[bytes]:
        with (self._folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen([sys.executable, "-m", *_MODULES[name]], env=self._environment, stderr=log)

    def kill(self, name: str) -> None:
        """kill -9."""
        process = self._running.pop(name)
        process.kill()
        process.wait()

    def stop(self, name: str) -> int:
        """SIGTERM; return the exit code."""
        process = self._running.pop(name)
        process.terminate()
        return process.wait(30)

    def stop_all(self) -> None:
        for name in list(self._running):
            self.kill(name)

    def log(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text()

    async def metric(self, name: str, series: str) -> float:
        """Return one series of a service's /metrics."""
        async with httpx2.AsyncClient() as client:
            text = (await client.get(f"http://127.0.0.1:{self._health[name]}/metrics")).text
        return next(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(f"{series} "))

    async def _is_ready(self, name: str) -> bool:
        process = self._running[name]
        assert process.poll() is None, f"{name} ended: {self.log(name)[-2000:]}"
        try:
            async with httpx2.AsyncClient() as client:
                answer = await client.get(f"http://127.0.0.1:{self._health[name]}/ready")
        except httpx2.HTTPError:
            return False
        return answer.status_code == httpx2.codes.OK

    async def write(
        self, topic: str, records: Iterable[tuple[bytes, bytes, Headers]], partition: int | None = None
    ) -> None:
        """Write records, by the partition of their key unless one is given, and await all of them."""
        count = 1 if topic == self.topics.policies else self.topics.partitions
        producer = AIOKafkaProducer(**clients.producer_settings(self.kafka, "test"))
        await producer.start()
        try:
            futures = [
                await producer.send(
                    topic,
                    value,
                    key=key or None,
                    headers=headers,
                    partition=partition_of(key, count) if partition is None else partition,
                )
                for key, value, headers in records
            ]
            await asyncio.gather(*futures)
        finally:
            await producer.stop()

    async def activate(self, folder: Path = POLICY) -> None:
        """Put a policy in force."""
        bundle = read_folder(folder)
        stored = bundle_record(StoredBundle(TENANT, bundle.hash, bundle.files))
        active = activation_record(Activation(TENANT, bundle.hash, "test", WallClock().now()))
        await self.write(self.topics.policies, [(*stored, []), (*active, [])])

    async def put(self, customers: Mapping[str, Mapping[str, object]]) -> None:
        """Put customers, as the door writes them."""
        await self.write(self.topics.changes, [change(name, patch) for name, patch in customers.items()])

    async def mails(self) -> list[Mail]:
        """Return every message that the sandbox took, oldest first."""
        return [mail for mail in await taken(self.sandbox.http) if mail.taken]

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Log]:
        async with reading(self.kafka, self.topics) as log:
            yield log

    async def evidence(self, log: Log) -> Evidence:
        """Read everything an audit looks at, with the sandbox's mails."""
        return await evidence(log, await self.mails(), TENANT)


def change(customer: str, patch: Mapping[str, object]) -> tuple[bytes, bytes, Headers]:
    """Return the record of a customer's change."""
    message = profile_pb2.Change(tenant=TENANT, customer=customer, merge_patch=msgspec.json.encode(patch))
    message.accept_time.FromMicroseconds(WallClock().now())
    return f"{TENANT}|{customer}".encode(), message.SerializeToString(), []


def event(customer: str, event_id: str, data: object, **attributes: str) -> tuple[bytes, bytes, Headers]:
    """Return the record of an event as a CloudEvent in binary mode."""
    texts = {
        "specversion": "1.0",
        "id": event_id,
        "source": "test",
        "type": "com.northwind.order.error",
        "subject": event_id,
        "tenant": TENANT,
        "audience": msgspec.json.encode({"customers": [customer]}).decode(),
        **attributes,
    }
    headers = [(f"ce_{name}", text.encode()) for name, text in texts.items()]
    return f"{TENANT}|{customer}".encode(), msgspec.json.encode(data), [*headers, ("content-type", b"application/json")]


@asynccontextmanager
async def running_stack(kafka: str, topics: Topics, folder: Path, **settings: str) -> AsyncIterator[Stack]:
    """Run a sandbox and make the services ready to be started; `settings` are whole CLARION_* variables."""
    with running_sandbox(folder) as sandbox:
        stack = Stack(kafka, topics, sandbox, folder, settings)
        try:
            yield stack
        finally:
            stack.stop_all()
