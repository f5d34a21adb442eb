"""Controls as records."""

import pytest

from clarion.v1 import control_pb2
from services.policy.controls import Controls, control_key, control_record, parse_control
from services.router.decision.model import Control, ControlKind, MessageClass

STOP = Control("stop-offers", ControlKind.STOP, category="offers", author="ana", reason="wrong price")
WHOLE = Control(
    name="all-fields",
    kind=ControlKind.PAUSE,
    rule="r",
    category="c",
    channel="sms",
    message_class=MessageClass.MARKETING,
    source="s",
    event="e",
    author="a",
    reason="why",
    expires=7,
)


@pytest.mark.parametrize("control", [STOP, WHOLE])
def test_a_control_reads_as_it_was_written(control: Control) -> None:
    assert parse_control(*control_record("northwind", control)) == ("northwind", control)


def test_controls_are_in_force_until_they_are_lifted() -> None:
    controls = Controls()
    assert controls.take(*control_record("northwind", WHOLE)) == "northwind"
    assert controls.take(*control_record("northwind", STOP)) == "northwind"
    assert controls.take(*control_record("other", STOP)) == "other"
    assert controls.of("northwind") == (WHOLE, STOP)
    assert controls.take(control_key("northwind", "all-fields"), None) == "northwind"
    assert controls.take(control_key("northwind", "never-there"), None) == ""
    assert (controls.of("northwind"), controls.of("nobody")) == ((STOP,), ())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"northwind|stop-offers", b"\xff\xff"),
        (b"northwind|another", control_record("northwind", STOP)[1]),
        (b"other|stop-offers", control_record("northwind", STOP)[1]),
        (
            b"n|x",
            control_pb2.Control(tenant="n", name="x", kind=control_pb2.ControlKind.ValueType(0)).SerializeToString(),
        ),
        (
            b"n|x",
            control_pb2.Control(
                tenant="n",
                name="x",
                kind=control_pb2.CONTROL_KIND_STOP,
                match=control_pb2.ControlMatch(message_class="urgent"),
            ).SerializeToString(),
        ),
    ],
)
def test_a_record_that_cannot_be_obeyed_changes_nothing(key: bytes, value: bytes) -> None:
    controls = Controls()
    assert controls.take(key, value) == ""
    assert set(controls.refused) == {key.decode()}
    assert controls.of("northwind") == ()
