import pytest
from pydantic import ValidationError

from services.senders.settings import EmailSettings


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"smtp_host": "mail.northwind.example"}, "CLARION_SMTP_SECURITY"),
        ({"smtp_host": "192.0.2.1"}, "CLARION_SMTP_SECURITY"),
        ({"sender_timeout_s": 45}, "CLARION_SENDER_LEASE_GRACE_S"),
        ({"email_from": "Northwind <a@northwind.example>"}, "CLARION_EMAIL_FROM"),
        ({"email_from": "a@northwind.example\r\nBcc: b@northwind.example"}, "CLARION_EMAIL_FROM"),
        ({"email_from_name": "North\nwind"}, "CLARION_EMAIL_FROM_NAME"),
    ],
)
def test_settings_that_would_do_harm_are_refused_by_name(wrong: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        EmailSettings(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "right",
    [
        {},
        {"smtp_host": "localhost"},
        {"smtp_host": "::1"},
        {"smtp_host": "mail.northwind.example", "smtp_security": "starttls"},
        {"smtp_host": "mail.northwind.example", "smtp_security": "tls"},
    ],
)
def test_mail_may_be_plain_on_this_machine_only(right: dict[str, object]) -> None:
    assert EmailSettings(**right).smtp_host  # type: ignore[arg-type]
