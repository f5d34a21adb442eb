"""A Kafka of one or three brokers on this machine: start, stop, kill, restart, find again.

A running cluster is described by `cluster.json` in its home folder, so any process may find and stop it.
Data is kept in the home folder, or in a temporary folder that goes away with the cluster.
A cluster counts as started when each broker answers a metadata call and knows all the others.
"""

import asyncio
import shutil
import tempfile
from base64 import urlsafe_b64encode
from pathlib import Path
from secrets import token_bytes
from signal import SIGKILL
from typing import Self

import msgspec
from msgspec import Struct
from rich.console import Console

from services.control.bound import bound
from services.control.broker import archive, processes
from services.control.broker.config import Node, jvm_options, properties
from services.control.broker.home import (
    Record,
    cluster_id,
    is_formatted,
    last_words,
    locked,
    read_record,
    remove_record,
    size_of,
    telling_line,
    write_record,
)
from services.control.broker.jars import ensure_jars
from services.control.broker.java import find_java
from services.control.broker.ready import known_brokers, until_ready
from services.control.broker.settings import BrokerSettings, Jvm
from services.control.errors import ClarionError
from services.control.ports import free_ports, is_free

START_DEADLINE_S = 60.0
STOP_GRACE_S = 20.0


class Status(Struct, frozen=True):
    """What a person wants to know of a cluster."""

    ready: bool
    bootstrap: str
    brokers: int
    brokers_ready: int
    pids: tuple[int, ...]
    data: str
    ephemeral: bool


class Cluster:
    """A running cluster; `start` makes one, `attach` finds one."""

    def __init__(self, home: Path, record: Record, *, ours: bool = False) -> None:
        self._home = home
        self._record = record
        self._ours = ours

    @property
    def bootstrap(self) -> str:
        """What clients connect to."""
        return ",".join(node.address for node in self._record.nodes)

    @property
    def pids(self) -> tuple[int, ...]:
        """The brokers' processes, in the order of their numbers."""
        return tuple(node.pid for node in self._record.nodes)

    @property
    def data_dir(self) -> Path:
        """Where the data is."""
        return self._record.data

    def is_running(self) -> bool:
        """Tell whether every broker's process runs."""
        return all(_alive(node) for node in self._record.nodes)

    async def status(self) -> Status:
        """Ask every broker how it is."""
        known = await asyncio.gather(*(known_brokers(node.address) for node in self._record.nodes if _alive(node)))
        ready = sum(len(brokers) == len(self._record.nodes) for brokers in known)
        return Status(
            ready=ready == len(self._record.nodes),
            bootstrap=self.bootstrap,
            brokers=len(self._record.nodes),
            brokers_ready=ready,
            pids=self.pids,
            data=str(self.data_dir),
            ephemeral=self._record.ephemeral,
        )

    async def stop(self) -> None:
        """End all brokers, and remove the data if it was not to be kept."""
        record, first = self._record, self._folder(self._record.nodes[0])
        # What is thrown away needs no clean end, and three controllers take 5 s for theirs.
        worthless = record.ephemeral and archive.is_kept(record.java, record.classpath)
        grace_s = 0.0 if worthless else STOP_GRACE_S
        clean = await asyncio.gather(*(processes.end(node.pid, node.started, grace_s) for node in record.nodes))
        if clean[0]:
            archive.keep(record.java, record.classpath, first)
        remove_record(self._home)
        if self._record.ephemeral:
            await asyncio.to_thread(shutil.rmtree, self._record.data, ignore_errors=True)

    async def kill(self, node_id: int = 1) -> None:
        """End a broker as a power cut would: SIGKILL."""
        node = self._node(node_id)
        processes.send(node.pid, node.started, SIGKILL)
        await processes.gone(node.pid, node.started)

    async def restart(self, node_id: int = 1) -> None:
        """Start a broker again on its data and ports, stopping it first if it runs; returns when it is ready."""
        node = self._node(node_id)
        await processes.end(node.pid, node.started, STOP_GRACE_S)
        self._spawn(node)
        await self._until_ready(self._node(node_id))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def launch(self) -> None:
        """Format what is new, start every broker, and wait until all are ready; on failure leave none running."""
        try:
            await self._format()
            for node in self._record.nodes:
                self._spawn(node)
            await asyncio.gather(*(self._until_ready(node) for node in self._record.nodes))
        except BaseException:
            await self.stop()
            raise

    async def _format(self) -> None:
        id_ = cluster_id(self._record.data) or _new_cluster_id()
        async with asyncio.TaskGroup() as tasks:
            for node in self._record.nodes:
                folder = self._folder(node)
                folder.mkdir(parents=True, exist_ok=True)
                (folder / "server.properties").write_text(properties(node, self._record.nodes, folder))
                if not is_formatted(folder):
                    tasks.create_task(self._format_node(folder, id_))

    async def _format_node(self, folder: Path, id_: str) -> None:
        tool = ("kafka.tools.StorageTool", "format", "-t", id_, "-c", str(folder / "server.properties"), "-g")
        process = await asyncio.create_subprocess_exec(
            *self._java_command(folder, tool),
            env=processes.ENVIRONMENT,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            output, _ = await process.communicate()
        finally:
            if process.returncode is None:  # stopped meanwhile: it must not write where data is being removed
                process.kill()
                await process.wait()
        if process.returncode:
            raise ClarionError(f"Kafka could not prepare {folder}: {telling_line(output.decode())}")

    def _spawn(self, node: Node) -> None:
        folder = self._folder(node)
        first = node.id == self._record.nodes[0].id
        extra = archive.options(self._record.java, self._record.classpath, folder) if first else ()
        command = self._java_command(folder, ("kafka.Kafka", str(folder / "server.properties")), extra)
        pid, started = processes.spawn(bound(command) if self._ours else command, folder / "console.log")
        born = Node(node.id, node.port, node.controller_port, pid, started)
        nodes = tuple(born if other.id == node.id else other for other in self._record.nodes)
        self._record = msgspec.structs.replace(self._record, nodes=nodes)
        write_record(self._home, self._record)

    def _java_command(self, folder: Path, program: tuple[str, ...], extra: tuple[str, ...] = ()) -> list[str]:
        classpath = ":".join(str(jar) for jar in self._record.classpath)
        options = jvm_options(self._record.jvm, folder / "kafka.log")
        return [str(self._record.java), *options, *extra, "-cp", classpath, *program]

    async def _until_ready(self, node: Node) -> None:
        peers = frozenset(peer.id for peer in self._record.nodes if _alive(peer))
        if not await until_ready(node.address, peers, lambda: _alive(node), START_DEADLINE_S):
            folder = self._folder(node)
            where = "" if self._record.ephemeral else f" (log: {folder})"
            raise ClarionError(f"Kafka's broker {node.id} did not become ready: {last_words(folder)}{where}")

    def _folder(self, node: Node) -> Path:
        return self._record.data / f"broker-{node.id}"

    def _node(self, node_id: int) -> Node:
        return next(node for node in self._record.nodes if node.id == node_id)


async def start(
    settings: BrokerSettings | None = None,
    *,
    brokers: int = 1,
    ephemeral: bool = False,
    home: Path | None = None,
    ports: tuple[int, ...] | None = None,
    jvm: Jvm | None = None,
    ours: bool = False,
    console: Console | None = None,
) -> Cluster:
    """Start a Kafka and return when it is ready.

    Without ports it takes free ones. Ephemeral data lies in a temporary folder that `stop` removes; kept data lies in
    the home folder, which is the settings' own if none is given. A Kafka that is `ours` ends with this process.
    """
    settings = settings or BrokerSettings()
    console = console or Console(stderr=True)
    java = find_java(settings, console)
    classpath = ensure_jars(settings, console)
    temporary = Path(tempfile.mkdtemp(prefix="clarion-kafka-")) if ephemeral else None
    home = home or temporary or settings.data_dir / "kafka"
    record = Record((), temporary or home, ephemeral, jvm or ("quick" if ephemeral else "steady"), java, classpath)
    try:
        async with locked(home):
            _refuse_running(home)
            _refuse_other_size(record.data, brokers)
            cluster = Cluster(home, msgspec.structs.replace(record, nodes=_nodes(brokers, ports)), ours=ours)
            await cluster.launch()
    except BaseException:
        if temporary:
            await asyncio.to_thread(shutil.rmtree, temporary, ignore_errors=True)
        raise
    return cluster


def attach(home: Path) -> Cluster | None:
    """Find the cluster of a home folder, if any of its brokers runs."""
    record = read_record(home)
    return Cluster(home, record) if record and any(_alive(node) for node in record.nodes) else None


def _nodes(brokers: int, ports: tuple[int, ...] | None) -> tuple[Node, ...]:
    for port in ports or ():
        if not is_free(port):
            raise ClarionError(f"port {port} is in use by another program: stop that, or choose another port")
    free = free_ports(2 * brokers)
    return tuple(
        Node(number + 1, ports[number] if ports else free[brokers + number], free[number]) for number in range(brokers)
    )


def _refuse_running(home: Path) -> None:
    if running := attach(home):
        raise ClarionError(f"a Kafka of {home} is running already at {running.bootstrap}: stop it first")


def _refuse_other_size(data: Path, brokers: int) -> None:
    found = size_of(data)
    if found not in {0, brokers}:
        raise ClarionError(
            f"the data in {data} was written by {found} broker{'s'[: found != 1]}, not by {brokers}: "
            f"start {found}, or give another folder"
        )


def _new_cluster_id() -> str:
    # 16 bytes in base64; a leading dash would be taken for an option.
    return "c" + urlsafe_b64encode(token_bytes(16)).decode()[1:22]


def _alive(node: Node) -> bool:
    return processes.is_alive(node.pid, node.started)


def _record_file(home: Path) -> Path:
    return home / "cluster.json"
