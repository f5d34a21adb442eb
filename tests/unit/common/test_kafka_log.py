"""What the processor must know of its producer is counted on the real client; its sender repeats requests silently."""

from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import NoError, RequestTimedOutError

from services.common import kafka
from services.common.processor.kafka import KafkaProducer


class Answer:
    """The answer to a request that ends a transaction."""

    error_code = NoError.errno


class Coordinator:
    """A connection on which so many requests get no answer."""

    def __init__(self, lost: int) -> None:
        self._lost = lost

    async def send(self, *_: object, **__: object) -> Answer:
        if self._lost:
            self._lost -= 1
            raise RequestTimedOutError
        return Answer()

    async def coordinator_lookup(self, *_: object) -> int:
        return 0

    async def ready(self, *_: object, **__: object) -> bool:
        return True

    async def close(self) -> None:
        return


async def committed(lost: int) -> bool:
    """Commit with a client whose first requests get no answer, and tell whether it says that it asked again."""
    client: Any = AIOKafkaProducer(**kafka.transactional_settings("127.0.0.1:1", "test", "t-0"))
    producer = KafkaProducer(client)
    client._sender.client = client.client = Coordinator(lost)
    client._sender._retry_backoff = 0
    manager = client._txn_manager
    manager.set_pid_and_epoch(1, 0)
    await producer.begin()
    tail = TopicPartition("topic", 0)
    manager.maybe_add_partition_to_txn(tail)
    manager.partition_added(tail)
    client._sender._sender_task = client._loop.create_task(client._sender._sender_routine())
    try:
        await producer.commit()
        return producer.repeated
    finally:
        await producer.stop()


async def test_a_transaction_ended_at_the_first_request_leaves_its_producer_usable() -> None:
    assert await committed(lost=0) is False


async def test_a_producer_tells_that_it_asked_again_for_the_end_of_a_transaction() -> None:
    assert await committed(lost=1) is True
