"""The topics that tests get are real, fresh and their own."""

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from services.common.kafka import MAX_BATCH_BYTES, consumer_settings, producer_settings, transactional_settings
from services.common.topics import Topics


async def test_what_is_written_is_read_back(kafka: str, topics: Topics) -> None:
    event = TopicPartition(topics.events, 3)
    async with AIOKafkaProducer(**producer_settings(kafka, "test")) as producer:
        written = await producer.send_and_wait(topics.events, b"x" * 300 * 1024, key=b"key", partition=3)
    async with AIOKafkaConsumer(**consumer_settings(kafka, "test")) as consumer:
        consumer.assign([event])
        consumer.seek(event, 0)
        record = await consumer.getone()
    assert (record.offset, record.key, len(record.value)) == (written.offset, b"key", 300 * 1024)
    assert record.timestamp_type == 1


async def test_a_second_test_gets_empty_topics(kafka: str, topics: Topics) -> None:
    async with AIOKafkaConsumer(**consumer_settings(kafka, "test")) as consumer:
        partitions = [TopicPartition(topics.events, number) for number in range(topics.partitions)]
        assert set((await consumer.end_offsets(partitions)).values()) == {0}


async def test_the_largest_batch_passes(kafka: str, topics: Topics) -> None:
    async with AIOKafkaProducer(**transactional_settings(kafka, "test", f"{topics.prefix}t-0")) as producer:
        batch = producer.create_batch()
        while batch.append(key=b"k", value=b"v" * 9_000, timestamp=None):
            pass
        assert batch.size() > MAX_BATCH_BYTES - 10_000
        async with producer.transaction():
            await (await producer.send_batch(batch, topics.state, partition=0))
