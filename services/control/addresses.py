"""Where everything of one `clarion up` listens.

The ports are those of the services' own settings, or free ones. Who finds one taken is told which and what to do.
"""

from collections.abc import Collection, Mapping

import msgspec
import psutil
from msgspec import Struct

from services.control.errors import ClarionError
from services.control.ports import free_ports, is_free
from services.ingest.settings import IngestSettings
from services.router.settings import RouterSettings
from services.sandbox.settings import SandboxSettings
from services.senders.settings import SenderSettings

HOST = "127.0.0.1"


class Ports(Struct, frozen=True):
    """One port for each thing of ours that listens."""

    ingest_grpc: int
    ingest_health: int
    router_health: int
    sender_health: int
    sandbox_http: int
    sandbox_smtp: int

    def environment(self) -> dict[str, str]:
        """Return the settings that make services listen and call there."""
        return {
            "CLARION_INGEST_GRPC_PORT": str(self.ingest_grpc),
            "CLARION_INGEST_HEALTH_PORT": str(self.ingest_health),
            "CLARION_ROUTER_HEALTH_PORT": str(self.router_health),
            "CLARION_SENDER_HEALTH_PORT": str(self.sender_health),
            "CLARION_SANDBOX_HTTP_PORT": str(self.sandbox_http),
            "CLARION_SANDBOX_SMTP_PORT": str(self.sandbox_smtp),
            "CLARION_SMTP_HOST": HOST,
            "CLARION_SMTP_PORT": str(self.sandbox_smtp),
            "CLARION_BIND": HOST,
        }

    def health(self) -> dict[str, str]:
        """Return where each service answers `/live`, `/ready` and `/metrics`."""
        return {
            "ingest": f"http://{HOST}:{self.ingest_health}",
            "router": f"http://{HOST}:{self.router_health}",
            "sender": f"http://{HOST}:{self.sender_health}",
            "sandbox": f"http://{HOST}:{self.sandbox_http}",
        }


class Addresses(Struct, frozen=True):
    """What programs need to know of a running `clarion up`; the content of its ready file."""

    kafka: str
    ingest_grpc: str
    sandbox_http: str
    sandbox_smtp: str
    tenant: str
    policy: str
    health: Mapping[str, str]
    pids: Mapping[str, int]


def configured_ports() -> Ports:
    """Return the ports that the services' settings name."""
    ingest, sandbox = IngestSettings(), SandboxSettings()
    return Ports(
        ingest_grpc=ingest.ingest_grpc_port,
        ingest_health=ingest.ingest_health_port,
        router_health=RouterSettings().router_health_port,
        sender_health=SenderSettings().sender_health_port,
        sandbox_http=sandbox.sandbox_http_port,
        sandbox_smtp=sandbox.sandbox_smtp_port,
    )


def ports_now_free() -> Ports:
    """Return ports that nobody uses now."""
    return Ports(*free_ports(len(Ports.__struct_fields__)))


def refuse_busy(ports: Ports, kafka: int | None) -> None:
    """Raise ClarionError if a port is taken; `kafka` is given where a Kafka is to be started there."""
    named: dict[str, int] = msgspec.structs.asdict(ports)
    if kafka is not None:
        named["kafka"] = kafka
    busy = [f"{port} ({name.replace('_', ' ')})" for name, port in named.items() if not is_free(port)]
    if busy:
        taken = f"port {busy[0]} is" if len(busy) == 1 else f"ports {', '.join(busy)} are"
        raise ClarionError(
            f"{taken} taken{_by_whom(named.values())}: stop the `clarion up` that runs, or add --ports free to use"
            " other ports"
        )


def _by_whom(ports: Collection[int]) -> str:
    """Name the processes that listen there, as far as the system tells us."""
    try:
        found = psutil.net_connections("tcp")
    except psutil.AccessDenied:  # not on Linux: there the processes of others merely have no number
        return ""
    listening = [
        each for each in found if each.status == psutil.CONN_LISTEN and each.laddr and each.laddr.port in ports
    ]
    pids = sorted({each.pid for each in listening if each.pid is not None})
    word = "process" if len(pids) == 1 else "processes"
    return f" by {word} {', '.join(map(str, pids))}" if pids else ""
