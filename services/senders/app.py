"""A sender's only I/O loop: the processor, the profiles of its partitions, the policies, the channel, its health."""

import asyncio
import ssl
from collections.abc import Sequence

from services.common.clock import WallClock
from services.common.health import serve_health
from services.common.processor.kafka import KafkaLog
from services.common.processor.metrics import ProcessorMetrics
from services.common.processor.ports import Committer, Handler, Input, Plan, Store
from services.common.processor.processor import Processor
from services.common.processor.stores import configured_stores
from services.common.tables import Table
from services.common.topics import LANES, Topics
from services.policy.registry import Registry
from services.senders import codec, render
from services.senders.channels.email import Email, Server
from services.senders.desk import Desk
from services.senders.message import Letter
from services.senders.metrics import SenderMetrics
from services.senders.outcome import Outcome
from services.senders.send import Recipient, Send
from services.senders.sending import SECOND, Sending
from services.senders.settings import EmailSettings
from services.senders.slots import Slots

CHANNEL = "email"
NAME = f"sender-{CHANNEL}"


class Profiles:
    """The customers of one partition (see desk.Customers); their records stay bytes until they are asked for."""

    def __init__(self, bootstrap: str, topic: str, partition: int) -> None:
        self._values: dict[bytes, bytes] = {}
        self._table = Table(bootstrap, topic, self._take, f"clarion-{NAME}-profiles", only=(partition,))

    async def start(self) -> None:
        """Read all profiles; leave nothing open when that fails."""
        try:
            await self._table.start()
        except BaseException:
            await self._table.stop()
            raise

    async def stop(self) -> None:
        """Stop reading."""
        await self._table.stop()

    async def refresh(self) -> None:
        """Read to the end known now."""
        await self._table.catch_up()

    def recipient(self, tenant: str, customer: str) -> Recipient | None:
        """Return a customer as he is now."""
        value = self._values.get(codec.customer_key(tenant, customer))
        return None if value is None else codec.recipient(value, CHANNEL)

    def _take(self, key: bytes, value: bytes | None) -> None:
        if value is None:
            self._values.pop(key, None)
        else:
            self._values[key] = value


class Policies:
    """Content by the policies that the process has read (see desk.Content)."""

    def __init__(self, registry: Registry, table: Table) -> None:
        self._registry = registry
        self._table = table

    async def prepare(self, sends: Sequence[Send]) -> None:
        """Read the policies to the end known now if one of these sends needs one that is not here."""
        if any(render.known(send, self._registry) is None for send in sends):
            await self._table.catch_up()

    def letter(self, send: Send, recipient: Recipient) -> Letter | Outcome:
        """Render a send."""
        return render.letter(send, recipient, self._registry)


async def serve(settings: EmailSettings, stop: asyncio.Event) -> None:
    """Send until `stop` is set."""
    topics = Topics(settings.topic_prefix, settings.partitions)
    lanes = {topics.sends(CHANNEL, lane): lane for lane in LANES}
    registry = Registry()
    policies = Table(settings.kafka_bootstrap, topics.policies, registry.take, f"clarion-{NAME}-policies")
    channel = Email(_server(settings))
    clock = WallClock()
    metrics = SenderMetrics(CHANNEL)
    plan = Plan(
        application=NAME,
        group=f"{settings.topic_prefix}clarion-{NAME}",
        inputs=tuple(Input(topic) for topic in lanes),
        changelog=topics.ledger(CHANNEL),
        stores=configured_stores(settings),
    )
    async with asyncio.TaskGroup() as tasks:
        desk = Desk(
            name=NAME,
            channel_name=CHANNEL,
            channel=channel,
            content=Policies(registry, policies),
            lanes=lanes,
            feedback=topics.feedback,
            dead_letters=topics.dead_letters,
            lease_grace=int(settings.sender_lease_grace_s * SECOND),
            after_grace=int(settings.sender_after_grace_s * SECOND),
            clock=clock,
            metrics=metrics,
            slots=Slots(settings.sender_concurrency),
            tasks=tasks,
        )

        async def make_handler(partition: int, store: Store, committer: Committer) -> Handler:
            profiles = Profiles(settings.kafka_bootstrap, topics.profiles, partition)
            await profiles.start()
            return Sending(desk, profiles, store, committer)

        processor = Processor(
            plan,
            KafkaLog(settings.kafka_bootstrap),
            settings.instance,
            make_handler,
            clock,
            ProcessorMetrics("sender"),
        )
        tasks.create_task(serve_health(settings.bind, settings.sender_health_port, processor.missing, stop))
        await policies.start()
        try:
            following = tasks.create_task(policies.follow(stop))
            await processor.run(stop)
            await following
        finally:
            await policies.stop()
            await channel.close()


def _server(settings: EmailSettings) -> Server:
    secret = settings.smtp_password_file
    secure = settings.smtp_security != "none"
    return Server(
        host=settings.smtp_host,
        port=settings.smtp_port,
        sender=settings.email_from,
        sender_name=settings.email_from_name,
        timeout=settings.sender_timeout_s,
        start_tls=settings.smtp_security == "starttls",
        use_tls=settings.smtp_security == "tls",
        tls_context=ssl.create_default_context(cafile=settings.smtp_ca_file) if secure else None,
        username=settings.smtp_username,
        password=None if secret is None else secret.read_text().strip(),
    )
