"""What a broker is told: its properties and the options of its JVM. Pure: values in, text out.

Every broker is a controller too. Defaults of Kafka that suit a data centre but not one machine are overridden here,
each with its reason.
"""

from pathlib import Path

from msgspec import Struct

from services.control.broker.settings import Jvm

_HOST = "127.0.0.1"
_ASCII_END = 128
_LOG4J = Path(__file__).with_name("log4j2.properties")
_MEMORY: dict[Jvm, tuple[str, ...]] = {
    "quick": ("-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
    "steady": ("-Xms512m", "-Xmx1g"),
}


class Node(Struct, frozen=True):
    """One broker of the cluster: its number, its two ports, and its process while it runs."""

    id: int
    port: int
    controller_port: int
    pid: int = 0
    started: float = 0.0

    @property
    def address(self) -> str:
        """Where clients find it."""
        return f"{_HOST}:{self.port}"


def properties(node: Node, nodes: tuple[Node, ...], folder: Path) -> str:
    """Write a broker's server.properties."""
    replication = len(nodes)
    in_sync = replication // 2 + 1
    lines = {
        "process.roles": "broker,controller",
        "node.id": node.id,
        "controller.quorum.voters": ",".join(f"{peer.id}@{_HOST}:{peer.controller_port}" for peer in nodes),
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{_HOST}:{node.port},CONTROLLER://{_HOST}:{node.controller_port}",
        "advertised.listeners": f"PLAINTEXT://{_HOST}:{node.port}",
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": folder / "log",
        "auto.create.topics.enable": "false",  # a mistyped name must be an error
        "default.replication.factor": replication,
        "min.insync.replicas": in_sync,
        **_internal("offsets.topic", replication),
        **_internal("transaction.state.log", replication),
        **_internal("share.coordinator.state.topic", replication),
        "transaction.state.log.min.isr": in_sync,
        "share.coordinator.state.topic.min.isr": in_sync,
        "group.initial.rebalance.delay.ms": 0,  # else every first member waits 3 s
        "group.min.session.timeout.ms": 1_000,  # tests take members over quickly
        "log.cleaner.dedupe.buffer.size": 4_194_304,  # the default wants 128 MiB
        "log.segment.delete.delay.ms": 1_000,  # deleted topics free their disk at once
        "broker.session.timeout.ms": 1_000,  # a restart waits for the end of the former session: 2 s, not 11
        "broker.heartbeat.interval.ms": 250,
        "controlled.shutdown.enable": "false",  # all stop together, nobody is left to take over
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1_000,  # abandoned transactions block readers
        "num.network.threads": 2,
        "num.io.threads": 4,
    }
    return "".join(f"{key}={_escaped(str(value))}\n" for key, value in lines.items())


def _escaped(value: str) -> str:
    # Java reads properties as Latin-1, with UTF-16 escapes.
    units = value.replace("\\", "\\\\").encode("utf-16-be")
    codes = (int.from_bytes(units[at : at + 2]) for at in range(0, len(units), 2))
    return "".join(chr(code) if code < _ASCII_END else f"\\u{code:04x}" for code in codes)


def _internal(topic: str, replication: int) -> dict[str, int]:
    # One partition each: the default of 50 costs seconds at the first use.
    return {f"{topic}.replication.factor": replication, f"{topic}.num.partitions": 1}


def jvm_options(jvm: Jvm, log: Path) -> tuple[str, ...]:
    """List the options of a broker's JVM: `quick` starts fast (tests), `steady` runs fast (all else)."""
    return (
        *_MEMORY[jvm],
        "-Djava.net.preferIPv4Stack=true",
        "-Djava.awt.headless=true",
        f"-Dlog4j2.configurationFile={_LOG4J}",
        f"-Dclarion.log={log}",
    )
