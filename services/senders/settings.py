"""Settings of a sender.

Mail in plain text is for servers on this machine; any other needs TLS.
The lease grace is how long a new owner waits for calls of its predecessor: longer than a call may take.
"""

from ipaddress import ip_address
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from services.common.settings import StateSettings
from services.senders.channels.addresses import on_the_wire


class SenderSettings(StateSettings):
    """What every sender needs to know."""

    sender_health_port: int = Field(default=9713, ge=0, le=65_535, description="Port of /live, /ready and /metrics.")
    sender_concurrency: int = Field(default=16, ge=1, description="Calls of the provider at once.")
    sender_timeout_s: float = Field(default=30, gt=0, description="Longest time that one call of the provider takes.")
    sender_lease_grace_s: float = Field(
        default=45,
        gt=0,
        description="Wait before a call that a dead process made counts as unknown; above the provider's time-out.",
    )
    sender_after_grace_s: float = Field(
        default=60,
        ge=0,
        description="Longest wait for an earlier message of the subject that this sender has not read yet.",
    )

    @model_validator(mode="after")
    def _grace_is_longer_than_a_call(self) -> Self:
        if self.sender_lease_grace_s <= self.sender_timeout_s:
            message = "CLARION_SENDER_LEASE_GRACE_S must be above CLARION_SENDER_TIMEOUT_S"
            raise ValueError(message)
        return self


class EmailSettings(SenderSettings):
    """What the sender of mail needs to know."""

    smtp_host: str = Field(default="127.0.0.1", description="SMTP server that takes the mail.")
    smtp_port: int = Field(default=2525, ge=1, le=65_535, description="Its port.")
    smtp_security: Literal["none", "starttls", "tls"] = Field(
        default="none", description="none (only to this machine), starttls, or tls from the first byte."
    )
    smtp_ca_file: Path | None = Field(default=None, description="Certificates to trust instead of the system's.")
    smtp_username: str | None = Field(default=None, description="Login, if the server wants one.")
    smtp_password_file: Path | None = Field(default=None, description="File with the password.")
    email_from: str = Field(default="messages@clarion.example", description="Sender's address of all mail.")
    email_from_name: str = Field(default="", description="Name shown beside the sender's address.")

    @model_validator(mode="after")
    def _mail_is_encrypted_on_the_network(self) -> Self:
        if self.smtp_security == "none" and not _is_this_machine(self.smtp_host):
            message = "a mail server on another machine needs CLARION_SMTP_SECURITY=starttls or tls"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _from_is_an_address(self) -> Self:
        if on_the_wire(self.email_from) != self.email_from:
            message = "CLARION_EMAIL_FROM is not a plain mail address"
            raise ValueError(message)
        if not self.email_from_name.isprintable():
            message = "CLARION_EMAIL_FROM_NAME has characters that can't be shown"
            raise ValueError(message)
        return self


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
