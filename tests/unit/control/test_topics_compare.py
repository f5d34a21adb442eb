"""Differences between the list and a Kafka are named, each in one line."""

from pathlib import Path

import services
from services.common.topics import Topic, Topics
from services.control.topics import Found, compare
from services.control.topics_cli import REPLICATION_IN_PRODUCTION, as_yaml

WANTED = Topic("clarion.events.v1", 8, 3, {"retention.ms": "1209600000"}, co_partitioned=True)
SAME = Found(8, 3, {"retention.ms": "1209600000", "segment.ms": "1"}, frozenset({"retention.ms"}))


def lines(found: Found | None) -> list[str]:
    return [str(line) for line in compare(WANTED, found)]


def test_a_topic_as_it_should_be_has_no_differences() -> None:
    assert lines(SAME) == []


def test_an_absent_topic_is_missing() -> None:
    assert lines(None) == ["clarion.events.v1: missing"]


def test_every_difference_is_named_with_both_values() -> None:
    found = Found(
        6, 1, {"retention.ms": "604800000", "retention.bytes": "1000"}, frozenset({"retention.ms", "retention.bytes"})
    )
    assert lines(found) == [
        "clarion.events.v1: partitions is 6, should be 8",
        "clarion.events.v1: replication is 1, should be 3",
        "clarion.events.v1: retention.ms is 604800000, should be 1209600000",
        "clarion.events.v1: retention.bytes is 1000, should not be set",
    ]


def test_the_committed_yaml_is_the_list() -> None:
    committed = Path(next(iter(services.__path__))).parent / "deploy" / "kafka" / "topics.yaml"
    assert committed.read_text() == as_yaml(Topics(replication=REPLICATION_IN_PRODUCTION))
