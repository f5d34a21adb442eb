"""Records that steer, written and acknowledged by all in-sync replicas."""

from collections.abc import Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, UnknownTopicOrPartitionError

from services.common.kafka import producer_settings
from services.control.errors import ClarionError
from services.control.place import Place


async def write_records(where: Place, topic: str, records: Sequence[tuple[bytes, bytes | None]]) -> None:
    """Write records in their order; raise ClarionError when Kafka or the topic is not there."""
    producer = AIOKafkaProducer(**producer_settings(where.bootstrap, "clarion-control"))
    try:
        await producer.start()
        for key, value in records:
            await producer.send_and_wait(topic, key=key, value=value)
    except KafkaConnectionError as error:
        raise ClarionError(
            f"Kafka does not answer at {where.bootstrap}: start it, or set CLARION_KAFKA_BOOTSTRAP"
        ) from error
    except UnknownTopicOrPartitionError as error:
        raise ClarionError(f"the topic {topic} is not there: run `clarion topics apply`") from error
    finally:
        await producer.stop()
