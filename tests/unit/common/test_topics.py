"""The list of topics says what the architecture promises."""

from services.common.topics import CHANNELS, DEFAULT_PARTITIONS, Topic, Topics


def by_name(topics: Topics) -> dict[str, Topic]:
    return {topic.name: topic for topic in topics.all()}


def test_names_are_versioned_and_prefixed_as_a_whole() -> None:
    topics = Topics(prefix="t1-")
    assert topics.events == "t1-clarion.events.v1"
    assert topics.sends("email", "urgent") == "t1-clarion.sends.email.urgent.v1"
    assert topics.ledger("email") == "t1-clarion.ledger.email.v1"
    assert all(name.startswith("t1-clarion.") and name.endswith(".v1") for name in by_name(topics))


def test_no_name_stands_twice() -> None:
    assert len(by_name(Topics(channels=CHANNELS))) == len(Topics(channels=CHANNELS).all())


def test_every_channel_has_three_lanes_and_a_ledger() -> None:
    names = by_name(Topics(channels=("sms", "email")))
    assert {name for name in names if ".sms." in name} == {
        "clarion.sends.sms.urgent.v1",
        "clarion.sends.sms.normal.v1",
        "clarion.sends.sms.bulk.v1",
        "clarion.ledger.sms.v1",
    }


def test_topics_read_by_customer_share_one_partition_count() -> None:
    topics = Topics(partitions=12)
    co_partitioned = [topic for topic in topics.all() if topic.co_partitioned]
    assert {topic.partitions for topic in co_partitioned} == {12}
    assert {topics.events, topics.changes, topics.fanouts, topics.feedback, topics.state, topics.profiles} <= {
        topic.name for topic in co_partitioned
    }


def test_policies_controls_and_layout_are_single_and_compacted() -> None:
    topics = Topics()
    for name in (topics.policies, topics.controls, topics.layout):
        topic = by_name(topics)[name]
        assert (topic.partitions, topic.configs["cleanup.policy"]) == (1, "compact")


def test_events_are_kept_14_days_by_the_brokers_clock_and_may_be_large() -> None:
    topics = Topics()
    events = by_name(topics)[topics.events]
    assert events.partitions == DEFAULT_PARTITIONS
    assert events.configs["retention.ms"] == "1209600000"
    assert events.configs["message.timestamp.type"] == "LogAppendTime"
    assert int(events.configs["max.message.bytes"]) > 300 * 1024


def test_writes_need_a_majority_of_replicas() -> None:
    def needed(replication: int) -> str:
        return Topics(replication=replication).all()[1].configs["min.insync.replicas"]

    assert [needed(1), needed(2), needed(3)] == ["1", "2", "2"]
