"""The I/O loop of the doors: Kafka, the policies, the gRPC server, health.

Ready means that Kafka answers and that there is a policy to check events against. At a stop the doors close first,
calls in work get their answers, then the producer writes what it still has.
"""

import asyncio
from contextlib import AsyncExitStack

import grpc
import structlog
from grpc_health.v1 import health_pb2
from grpc_health.v1.health import SERVICE_NAME as HEALTH
from grpc_health.v1.health import aio as grpc_health
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server
from grpc_reflection.v1alpha import reflection

from services.common.clock import WallClock
from services.common.health import serve_health
from services.common.lifecycle import CannotListenError
from services.common.tables import Table
from services.common.topics import Topics
from services.ingest.grpc_door import SERVICES, GrpcDoor
from services.ingest.metrics import Metrics
from services.ingest.settings import IngestSettings
from services.ingest.writer import Writer
from services.policy.registry import Registry

MAX_CALL_BYTES = 4_194_304

_PROBE_EVERY_S = 1.0


class Readiness:
    """What the doors still wait for."""

    def __init__(self, registry: Registry, default_tenant: str, stop: asyncio.Event) -> None:
        self._registry = registry
        self._default_tenant = default_tenant
        self._stop = stop
        self.kafka = True

    def missing(self) -> list[str]:
        """Name what is missing, in words."""
        missing = []
        if not self.kafka:
            missing.append("Kafka does not answer")
        if self._default_tenant and self._registry.active(self._default_tenant) is None:
            missing.append(f"{self._default_tenant} has no policy in force{self._why(self._default_tenant)}")
        elif not self._registry.tenants():
            missing.append("no tenant has a policy in force")
        if self._stop.is_set():
            missing.append("stopping")
        return missing

    def _why(self, tenant: str) -> str:
        refused = self._registry.refused.get(tenant)
        return f": {refused.splitlines()[0]}" if refused else ""


async def serve(settings: IngestSettings, stop: asyncio.Event) -> None:
    """Keep the doors open until `stop` is set; raise when Kafka leaves no way to go on."""
    topics = Topics(prefix=settings.topic_prefix, partitions=settings.partitions)
    registry = Registry()
    readiness = Readiness(registry, settings.tenant, stop)
    writer = Writer(settings.kafka_bootstrap, "clarion-ingest", settings.partitions, settings.ingest_timeout_s)
    policies = Table(settings.kafka_bootstrap, topics.policies, registry.take, "clarion-ingest-policies")
    door = GrpcDoor(writer, topics, registry.active, settings.tenant, WallClock(), Metrics())
    async with AsyncExitStack() as closing:
        closing.push_async_callback(writer.stop)
        await writer.start(topics.events, topics.changes)
        closing.push_async_callback(policies.stop)
        await policies.start()
        server, serving = _server(settings, door)
        await server.start()
        structlog.get_logger().info("listening", address=settings.grpc_address)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(serve_health(settings.bind, settings.ingest_health_port, readiness.missing, stop))
            tasks.create_task(policies.follow(stop))
            tasks.create_task(_watch(writer, readiness, serving, stop))
            broken = tasks.create_task(writer.broken_down())
            try:
                await stop.wait()
            finally:
                await serving.enter_graceful_shutdown()
                await server.stop(settings.ingest_drain_s)
                broken.cancel()


def _server(settings: IngestSettings, door: GrpcDoor) -> tuple[grpc.aio.Server, grpc_health.HealthServicer]:
    """Build the gRPC server; raise CannotListenError when the port is taken."""
    server = grpc.aio.server(
        options=(("grpc.max_receive_message_length", MAX_CALL_BYTES), ("grpc.so_reuseport", 0)),
        maximum_concurrent_rpcs=settings.ingest_concurrency,
    )
    server.add_generic_rpc_handlers(door.handlers())
    serving = grpc_health.HealthServicer()
    add_HealthServicer_to_server(serving, server)
    if settings.ingest_reflection:
        reflection.enable_server_reflection((*SERVICES, HEALTH, reflection.SERVICE_NAME), server)
    try:
        server.add_insecure_port(settings.grpc_address)
    except RuntimeError:  # gRPC's only word for it
        raise CannotListenError(settings.grpc_address) from None
    return server, serving


async def _watch(
    writer: Writer,
    readiness: Readiness,
    serving: grpc_health.HealthServicer,
    stop: asyncio.Event,
) -> None:
    """Ask Kafka whether it answers, and tell gRPC clients what `/ready` tells."""
    while not stop.is_set():
        readiness.kafka = await writer.reachable()
        state = (
            health_pb2.HealthCheckResponse.NOT_SERVING
            if readiness.missing()
            else health_pb2.HealthCheckResponse.SERVING
        )
        for service in ("", *SERVICES):
            await serving.set(service, state)
        try:
            await asyncio.wait_for(stop.wait(), _PROBE_EVERY_S)
        except TimeoutError:
            continue
