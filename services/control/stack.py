"""All of Clarion on this machine: a Kafka, its topics, a policy in force, and each service as a process.

Started in the order in which one needs the other, stopped in the order in which work flows: the door first, so that
nothing new comes in, Kafka last. Whatever goes wrong, everything that was started is stopped again.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from time import perf_counter

import httpx2
from msgspec import Struct

from services.common.clock import WallClock
from services.common.settings import StateSettings
from services.common.topics import Topics
from services.control import policies, topics
from services.control.addresses import HOST, Addresses, Ports, configured_ports, ports_now_free, refuse_busy
from services.control.broker import cluster
from services.control.broker.cluster import Cluster
from services.control.broker.settings import BrokerSettings
from services.control.children import Child, Say
from services.control.errors import ClarionError
from services.control.place import Place
from services.control.policies import Activated
from services.control.settings import ControlSettings, child_environment

READY_DEADLINE_S = 60.0
AUTHOR = "clarion up"
_LOOK_AGAIN_S = 0.05
_WATCH_KAFKA_S = 0.5
# In the order in which they are stopped; each started by `python -m`.
_SERVICES = {
    "ingest": ("services.ingest",),
    "router": ("services.router",),
    "sender": ("services.senders", "email"),
    "sandbox": ("services.sandbox",),
}


class Options(Struct, frozen=True):
    """How all of it is to run; `prefix` stands before the names of topics, beside that of the settings.

    `policy` is put in force; the example where none is given, unless its tenant has a policy already.
    """

    policy: Path | None = None
    ephemeral: bool = False
    free_ports: bool = False
    prefix: str = ""

    def topics(self, settings: ControlSettings) -> Topics:
        """Return the topics to work on."""
        return Topics(settings.topic_prefix + self.prefix, settings.partitions)


class Progress(Struct, frozen=True):
    """A step: what, in how many seconds (None: it begins), and more about it."""

    what: str
    seconds: float | None
    detail: str = ""


class Stack:
    """A running whole; `running` makes one."""

    def __init__(
        self, ports: Ports, kafka: str, topics: Topics, activated: Activated, children: dict[str, Child]
    ) -> None:
        self.ports = ports
        self.kafka = kafka
        self.topics = topics
        self.activated = activated
        self._children = children
        self._cluster: Cluster | None = None

    def belongs(self, cluster: Cluster | None) -> None:
        """Note the Kafka that we started."""
        self._cluster = cluster

    @property
    def tenant(self) -> str:
        """Whose policy is in force."""
        return self.activated.policy.tenant

    def addresses(self) -> Addresses:
        """Say where everything listens, and which processes there are now."""
        pids = {name: child.pid for name, child in self._children.items()}
        if self._cluster is not None:
            pids["kafka"] = self._cluster.pids[0]
        return Addresses(
            kafka=self.kafka,
            ingest_grpc=f"{HOST}:{self.ports.ingest_grpc}",
            sandbox_http=f"http://{HOST}:{self.ports.sandbox_http}",
            sandbox_smtp=f"{HOST}:{self.ports.sandbox_smtp}",
            tenant=self.tenant,
            policy=self.activated.policy.hash,
            health=self.ports.health(),
            pids=pids,
        )


Done = Callable[[Progress], None]


@asynccontextmanager
async def running(options: Options, say: Say, done: Done, changed: Callable[[], None]) -> AsyncIterator[Stack]:
    """Start everything, yield when all of it answers, stop everything at the end.

    `say` gets each line of each process, `done` each step of the start, `changed` tells that a process was replaced.
    """
    settings = ControlSettings()
    policies.read_checked(options.policy or policies.example_folder())  # a mistake is told before anything is started
    kafka_port = None if options.free_ports else BrokerSettings().kafka_port
    if not options.free_ports:
        starts_kafka = not settings.kafka_is_given and _own_kafka(options) is None
        refuse_busy(configured_ports(), kafka_port if starts_kafka else None)
    async with _kafka(options, settings, kafka_port, say, done, changed) as (bootstrap, started):
        # Kafka took free ports too: ours are looked for when it has them.
        ports = ports_now_free() if options.free_ports else configured_ports()
        activated = await _prepared(bootstrap, options, settings, done)
        environment = _environment(options, settings, ports, bootstrap, activated)
        clock = WallClock()
        children = {name: Child(name, module, environment, say, clock) for name, module in _SERVICES.items()}
        stack = Stack(ports, bootstrap, options.topics(settings), activated, children)
        stack.belongs(started)
        async with asyncio.TaskGroup() as tasks:
            try:
                with _timed("services ready", done, f"{len(children)} processes"):
                    await _start(children, ports, tasks, changed)
                yield stack
            finally:
                for child in children.values():
                    await child.stop()


@asynccontextmanager
async def _kafka(
    options: Options,
    settings: ControlSettings,
    port: int | None,
    say: Say,
    done: Done,
    changed: Callable[[], None],
) -> AsyncIterator[tuple[str, Cluster | None]]:
    """Use the Kafka that someone named or that runs already; else start one, and stop it at the end."""
    if settings.kafka_is_given:
        done(Progress("Kafka is there", 0, settings.kafka_bootstrap))
        yield settings.kafka_bootstrap, None
        return
    if (found := _own_kafka(options)) is not None:
        done(Progress("Kafka runs already", 0, f"{found.bootstrap}, left running at the end"))
        yield found.bootstrap, None
        return
    with _timed("Kafka ready", done):
        started = await cluster.start(ephemeral=options.ephemeral, ports=None if port is None else (port,), ours=True)
    watch = asyncio.Event()
    try:
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(_watch_kafka(started, watch, say, changed))
            try:
                yield started.bootstrap, started
            finally:
                watch.set()
                await asyncio.wait({watching})
    finally:
        await started.stop()


def _own_kafka(options: Options) -> Cluster | None:
    """Find the Kafka that `clarion kafka start` left running on the kept data."""
    if options.ephemeral:
        return None
    return cluster.attach(BrokerSettings().data_dir / "kafka")


async def _watch_kafka(started: Cluster, stop: asyncio.Event, say: Say, changed: Callable[[], None]) -> None:
    """Start Kafka again if it ends and nobody asked for it."""
    while not stop.is_set():
        if not started.is_running():
            say("kafka", "kafka ended; started again")
            await started.restart()
            changed()
        try:
            await asyncio.wait_for(stop.wait(), _WATCH_KAFKA_S)
        except TimeoutError:
            continue


async def _prepared(bootstrap: str, options: Options, settings: ControlSettings, done: Done) -> Activated:
    """Create the topics and put the policy in force."""
    done(Progress("policy in force", None))
    start = perf_counter()
    wanted = options.topics(settings)
    applied = await topics.apply(bootstrap, wanted)
    if applied.drift:
        raise ClarionError(f"the topics are not as they should be: {applied.drift[0]} (`clarion topics check`)")
    activated = await policies.start_with(Place(bootstrap, wanted, "", AUTHOR, WallClock().now()), options.policy)
    done(Progress("policy in force", perf_counter() - start, str(activated)))
    return activated


def _environment(
    options: Options,
    settings: ControlSettings,
    ports: Ports,
    bootstrap: str,
    activated: Activated,
) -> dict[str, str]:
    """Return the settings of the services."""
    changes = {
        **ports.environment(),
        "CLARION_KAFKA_BOOTSTRAP": bootstrap,
        "CLARION_TOPIC_PREFIX": options.topics(settings).prefix,
        "CLARION_TENANT": settings.tenant or activated.policy.tenant,
        "CLARION_INSTANCE": settings.instance or "up",
        "CLARION_LOG_FORMAT": "plain",
        "PYTHONUNBUFFERED": "1",
    }
    if options.ephemeral:
        changes["CLARION_STATE_STORE"] = "memory"
    else:
        changes["CLARION_SANDBOX_DATA"] = str(BrokerSettings().data_dir / "sandbox")
        if "state_dir" not in StateSettings().model_fields_set:
            changes["CLARION_STATE_DIR"] = str(BrokerSettings().data_dir / "state")
    return child_environment(changes)


async def _start(
    children: dict[str, Child],
    ports: Ports,
    tasks: asyncio.TaskGroup,
    changed: Callable[[], None],
) -> None:
    """Start all processes at once and wait until each is ready; one that ends meanwhile ends the start."""
    everything_answers = False

    def on_start() -> None:
        if everything_answers:
            changed()

    for child in reversed(children.values()):
        tasks.create_task(child.keep_running(on_start))
    health = ports.health()
    async with httpx2.AsyncClient(timeout=2) as client:
        try:
            async with asyncio.timeout(READY_DEADLINE_S):
                for name, child in children.items():
                    await _until_ready(client, child, f"{health[name]}/ready")
        except TimeoutError as error:
            raise ClarionError(f"not everything was ready within {READY_DEADLINE_S:g} s") from error
    everything_answers = True


async def _until_ready(client: httpx2.AsyncClient, child: Child, url: str) -> None:
    while child.starts <= 1:
        try:
            answer = await client.get(url)
        except httpx2.TransportError:
            answer = None
        if answer is not None and answer.status_code == httpx2.codes.OK:
            return
        await asyncio.sleep(_LOOK_AGAIN_S)
    raise ClarionError(f"{child.name} does not start: see its last lines above")


@contextmanager
def _timed(what: str, done: Done, detail: str = "") -> Iterator[None]:
    done(Progress(what, None))
    start = perf_counter()
    yield
    done(Progress(what, perf_counter() - start, detail))
