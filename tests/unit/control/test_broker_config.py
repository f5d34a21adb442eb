"""What a broker is told."""

from pathlib import Path

from services.control.broker.config import Node, jvm_options, properties

ONE = (Node(1, 19092, 29092),)
THREE = tuple(Node(number, 19091 + number, 29091 + number) for number in (1, 2, 3))


def told(node: Node, nodes: tuple[Node, ...]) -> dict[str, str]:
    return dict(line.split("=", 1) for line in properties(node, nodes, Path("/data")).splitlines())


def test_a_single_broker_waits_for_nobody() -> None:
    one = told(ONE[0], ONE)
    assert one["controller.quorum.voters"] == "1@127.0.0.1:29092"
    for topic in ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic"):
        assert (one[f"{topic}.replication.factor"], one[f"{topic}.num.partitions"]) == ("1", "1")
    assert one["transaction.state.log.min.isr"] == one["min.insync.replicas"] == "1"


def test_three_brokers_survive_the_loss_of_one() -> None:
    second = told(THREE[1], THREE)
    assert second["node.id"] == "2"
    assert second["controller.quorum.voters"] == "1@127.0.0.1:29092,2@127.0.0.1:29093,3@127.0.0.1:29094"
    assert (second["default.replication.factor"], second["min.insync.replicas"]) == ("3", "2")
    assert (second["transaction.state.log.replication.factor"], second["transaction.state.log.min.isr"]) == ("3", "2")


def test_topics_are_never_made_by_a_mistyped_name() -> None:
    assert told(ONE[0], ONE)["auto.create.topics.enable"] == "false"


def test_brokers_listen_on_loopback_only() -> None:
    assert told(ONE[0], ONE)["listeners"] == "PLAINTEXT://127.0.0.1:19092,CONTROLLER://127.0.0.1:29092"


def test_tests_get_a_jvm_that_starts_fast_and_others_one_that_runs_fast() -> None:
    assert "-XX:TieredStopAtLevel=1" in jvm_options("quick", Path("kafka.log"))
    assert "-XX:TieredStopAtLevel=1" not in jvm_options("steady", Path("kafka.log"))


def test_a_folder_of_any_name_is_written_as_java_reads_it() -> None:
    text = properties(ONE[0], ONE, Path("/home/Jörg 🐘\\x"))
    assert "log.dirs=/home/J\\u00f6rg \\ud83d\\udc18\\\\x/log\n" in text
    assert text.isascii()
