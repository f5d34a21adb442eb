"""Refusals as gRPC says them."""

from services.ingest.check import Reason, Violation, refused
from services.ingest.statuses import refusal


def test_many_long_violations_are_cut_to_what_a_header_carries() -> None:
    many = [Violation(f"data.field{number}", "x" * 1_000, Reason.INVALID_DATA) for number in range(500)]

    said = refusal(refused(many))

    assert said.ByteSize() < 6_000
    assert said.violations[0].field == "data.field0"
    assert said.violations[0].description == "x" * 299 + "…"
