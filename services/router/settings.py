"""Settings of the router."""

from pydantic import Field

from services.common.settings import StateSettings


class RouterSettings(StateSettings):
    """What the router needs to know."""

    tenant: str = Field(default="", description="Tenant of events from Kafka that name none.")
    router_health_port: int = Field(default=9712, ge=0, description="Port of /live, /ready and /metrics.")
    router_cached_customers: int = Field(
        default=20_000, ge=0, description="Customers that are kept decoded, by all partitions together."
    )
