"""The processor's log on a real Kafka, by aiokafka; the only module of the processor that knows it.

Clients get no (de)serializers and the settings of `services/common/kafka.py`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import IllegalOperation, InvalidProducerEpoch, KafkaError, ProducerFenced
from aiokafka.structs import OffsetAndMetadata

from services.common import kafka
from services.common.processor.log import Assigned, Delivery, Keyed, Member, Producer, Reader, Revoked, Tail
from services.common.processor.ports import Record, Write


class KafkaLog:
    """Makes the clients of a Kafka (see log.Log)."""

    # IllegalOperation is what aiokafka says when its own state was changed by a fence; it is no KafkaError.
    failures: tuple[type[Exception], ...] = (KafkaError, IllegalOperation, TimeoutError)
    fences: tuple[type[Exception], ...] = (ProducerFenced, InvalidProducerEpoch)

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap

    def member(self, group: str, instance: str) -> Member:
        """Make a member of a group."""
        name = f"{group}-{instance}" if instance else group
        return KafkaMember(AIOKafkaConsumer(**kafka.member_settings(self._bootstrap, name, group, instance or None)))

    def producer(self, transactional_id: str) -> Producer:
        """Make a transactional producer."""
        kafka.shorten_commit_backoff()
        settings = kafka.transactional_settings(self._bootstrap, transactional_id, transactional_id)
        return KafkaProducer(AIOKafkaProducer(**settings))

    def reader(self, tail: Tail, client_id: str) -> Reader:
        """Make a reader of a partition."""
        return KafkaReader(self._bootstrap, tail, client_id)

    async def identity(self, topic: str) -> tuple[str, int]:
        """Return the id of the cluster and how many partitions a topic has."""
        return await kafka.log_identity(self._bootstrap, topic)


class KafkaMember(ConsumerRebalanceListener):
    """A member of a consumer group (see log.Member)."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self._assigned: Assigned | None = None
        self._revoked: Revoked | None = None

    async def start(self, topics: Sequence[str], assigned: Assigned, revoked: Revoked) -> None:
        """Join."""
        self._assigned, self._revoked = assigned, revoked
        self._consumer.subscribe(list(topics), listener=self)
        await self._consumer.start()

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Pass it on; the protocol is eager: all of them, always."""
        _ = revoked
        if self._revoked is not None:
            await self._revoked()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Pass it on."""
        if self._assigned is not None:
            await self._assigned([Tail(tail.topic, tail.partition) for tail in assigned])

    async def stop(self) -> None:
        """Leave."""
        await self._consumer.stop()

    def pause(self, tails: Iterable[Tail]) -> None:
        """Hand out no records of these partitions."""
        self._consumer.pause(*_known(tails))

    def resume(self, tails: Iterable[Tail]) -> None:
        """Hand out records of these partitions again."""
        self._consumer.resume(*_known(tails))

    def seek(self, tail: Tail, offset: int) -> None:
        """Go on at this offset."""
        self._consumer.seek(TopicPartition(*tail), offset)

    async def fetch(self, tails: Sequence[Tail], seconds: float, limit: int) -> Mapping[Tail, Sequence[Record]]:
        """Return at most so many records."""
        milliseconds = int(seconds * 1000)
        fetched = await self._consumer.getmany(*_known(tails), timeout_ms=milliseconds, max_records=limit)
        return {Tail(*tail): [_record(record) for record in records] for tail, records in fetched.items()}

    async def position(self, tail: Tail) -> int:
        """Return the offset of the next record."""
        offset: int = await self._consumer.position(TopicPartition(*tail))
        return offset

    async def first_offsets(self, tails: Sequence[Tail]) -> Mapping[Tail, int]:
        """Return where the partitions begin."""
        offsets: Mapping[TopicPartition, int] = await self._consumer.beginning_offsets(_known(tails))
        return _by_tail(offsets)

    async def stable_offsets(self, tails: Sequence[Tail]) -> Mapping[Tail, int]:
        """Return up to where the partitions hold no open transaction: a committed reader's end offsets."""
        offsets: Mapping[TopicPartition, int] = await self._consumer.end_offsets(_known(tails))
        return _by_tail(offsets)

    async def commit(self, offsets: Mapping[Tail, int]) -> None:
        """Tell the group where we are."""
        await self._consumer.commit(
            {TopicPartition(*tail): OffsetAndMetadata(offset, "") for tail, offset in offsets.items()}
        )


class KafkaProducer:
    """A transactional producer (see log.Producer)."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer
        self._ends_asked = 0
        self._ends_wanted = 0
        self._count_ends()

    def _count_ends(self) -> None:
        """Count the requests that end a transaction: aiokafka repeats them without a word.

        There is no other sign of it, which is one more reason why its version is pinned.
        """
        sender: Any = self._producer._sender  # noqa: SLF001  # see above
        ask = sender._do_txn_commit  # noqa: SLF001  # see above

        async def counted(result: Any) -> None:
            self._ends_asked += 1
            await ask(result)

        sender._do_txn_commit = counted  # noqa: SLF001  # see above

    @property
    def repeated(self) -> bool:
        """Whether the end of a transaction had to be asked for twice."""
        return self._ends_asked > self._ends_wanted

    async def start(self) -> None:
        """Fence whoever has this transactional id."""
        await self._producer.start()

    async def begin(self) -> None:
        """Begin a transaction."""
        await self._producer.begin_transaction()

    async def send(self, tail: Tail, writes: Sequence[Write]) -> Sequence[Delivery]:
        """Write to a partition, in as few batches as hold it: one future for each costs a third of one a record."""
        topic, partition = tail
        deliveries = []
        for batch in self._batches(writes):
            batch.close()
            receipt = await self._producer.send_batch(batch, topic, partition=partition)
            deliveries.append(Delivery(batch.record_count(), receipt))
        return deliveries

    def _batches(self, writes: Iterable[Write]) -> list[Any]:
        batches = [self._producer.create_batch()]
        append = batches[-1].append
        for write in writes:
            headers = list(write.headers)
            if append(key=write.key, value=write.value, timestamp=None, headers=headers) is None:
                batches.append(self._producer.create_batch())
                append = batches[-1].append
                append(key=write.key, value=write.value, timestamp=None, headers=headers)
        return batches

    async def commit(self) -> None:
        """Commit what was delivered."""
        self._ends_wanted += 1
        await self._producer.commit_transaction()

    async def stop(self) -> None:
        """Let go."""
        await self._producer.stop()


class KafkaReader:
    """Reads one partition's committed records (see log.Reader)."""

    def __init__(self, bootstrap: str, tail: Tail, client_id: str) -> None:
        self._bootstrap = bootstrap
        self._client_id = client_id
        self._tail = TopicPartition(*tail)
        self._consumer = AIOKafkaConsumer(**kafka.consumer_settings(bootstrap, client_id))

    async def start(self) -> None:
        """Connect."""
        await self._consumer.start()
        self._consumer.assign([self._tail])

    async def stop(self) -> None:
        """Disconnect."""
        await self._consumer.stop()

    async def high_watermark(self) -> int:
        """Ask as one who reads uncommitted records too: others are told the last stable offset."""
        settings = kafka.consumer_settings(self._bootstrap, self._client_id)
        settings["isolation_level"] = "read_uncommitted"
        asking = AIOKafkaConsumer(**settings)
        try:
            await asking.start()
            ends: dict[TopicPartition, int] = await asking.end_offsets([self._tail])
            return ends[self._tail]
        finally:
            await asking.stop()

    async def first_offset(self) -> int:
        """Return where the log begins."""
        offsets: dict[TopicPartition, int] = await self._consumer.beginning_offsets([self._tail])
        return offsets[self._tail]

    def seek(self, offset: int) -> None:
        """Go on at this offset."""
        self._consumer.seek(self._tail, offset)

    async def fetch(self, seconds: float) -> Sequence[Keyed]:
        """Return what comes next, as aiokafka's own records: making others costs as much as reading them."""
        fetched = await self._consumer.getmany(self._tail, timeout_ms=int(seconds * 1000))
        records: Sequence[Keyed] = fetched.get(self._tail, ())
        return records

    async def position(self) -> int:
        """Return the offset up to which all was handed out."""
        offset: int = await self._consumer.position(self._tail)
        return offset


def _known(tails: Iterable[Tail]) -> list[TopicPartition]:
    return [TopicPartition(*tail) for tail in tails]


def _by_tail(offsets: Mapping[TopicPartition, int]) -> dict[Tail, int]:
    return {Tail(*tail): offset for tail, offset in offsets.items()}


def _record(record: Any) -> Record:
    r = record
    return Record(r.topic, r.partition, r.offset, r.timestamp * 1000, r.key, r.value, tuple(r.headers))
