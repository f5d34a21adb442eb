"""Settings of the doors.

Until callers have credentials the doors listen on this machine only: a tenant is whatever the caller says.
"""

from ipaddress import ip_address
from typing import Self

from pydantic import Field, model_validator

from services.common.settings import CommonSettings


class IngestSettings(CommonSettings):
    """What the doors need to know."""

    ingest_grpc_port: int = Field(default=9700, ge=0, le=65_535, description="Port of the gRPC door.")
    ingest_health_port: int = Field(default=9711, ge=0, le=65_535, description="Port of /live, /ready and /metrics.")
    ingest_reflection: bool = Field(default=True, description="Let gRPC tools ask the door for its methods.")
    ingest_timeout_s: float = Field(
        default=10,
        gt=0,
        description="Longest wait for Kafka's acknowledgement before a caller is told to come back.",
    )
    ingest_concurrency: int = Field(default=2_000, ge=1, description="Calls in work at once; more are turned away.")
    ingest_drain_s: float = Field(default=10, ge=0, description="Time that calls in work have to end at a stop.")
    tenant: str = Field(default="", description="Tenant of events and customers that name none.")

    @property
    def grpc_address(self) -> str:
        """Where the gRPC door is."""
        return f"[{self.bind}]:{self.ingest_grpc_port}" if ":" in self.bind else f"{self.bind}:{self.ingest_grpc_port}"

    @model_validator(mode="after")
    def _on_this_machine(self) -> Self:
        if not _is_this_machine(self.bind):
            message = (
                "CLARION_BIND must be an address of this machine, such as 127.0.0.1: the doors have no credentials yet"
            )
            raise ValueError(message)
        return self


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
