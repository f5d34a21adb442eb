import pytest

from services.sandbox.faults import Fault, FaultKind, Faults, concerns
from services.sandbox.smtp import _answer

TO = ("ana@example.com",)
IDS = [f"<{number}@northwind.example>" for number in range(4000)]


def met(fault: Fault) -> set[str]:
    return {identity for identity in IDS if concerns(fault, "email", TO, identity)}


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9])
def test_a_share_of_messages_meets_a_fault(share: float) -> None:
    assert len(met(Fault(FaultKind.REFUSE, share=share))) / len(IDS) == pytest.approx(share, abs=0.03)


def test_no_share_is_nobody_and_the_whole_is_everybody() -> None:
    assert met(Fault(FaultKind.REFUSE, share=0)) == set()
    assert met(Fault(FaultKind.REFUSE, share=1)) == set(IDS)


def test_the_same_messages_meet_a_fault_in_every_run() -> None:
    first = sorted(met(Fault(FaultKind.TRY_LATER, share=0.001)))
    assert first == ["<2078@northwind.example>"]


def test_kinds_of_faults_meet_different_messages() -> None:
    both = met(Fault(FaultKind.REFUSE, share=0.5)) & met(Fault(FaultKind.STALL, share=0.5))
    assert len(both) / len(IDS) == pytest.approx(0.25, abs=0.03)


def test_a_fault_for_some_recipients_leaves_the_others_alone() -> None:
    fault = Fault(FaultKind.REFUSE, to="ANA@")
    assert concerns(fault, "email", ("ben@example.com", "ana@example.com"), "1")
    assert not concerns(fault, "email", ("ben@example.com",), "1")


def test_a_fault_of_another_channel_is_not_met() -> None:
    assert not concerns(Fault(FaultKind.REFUSE), "sms", TO, "1")


def test_the_first_fault_that_concerns_a_message_is_met_until_it_is_used_up() -> None:
    faults = Faults()
    faults.in_force = [Fault(FaultKind.REFUSE, times=2), Fault(FaultKind.STALL)]
    kinds = [fault.kind for fault in (faults.meet("email", TO, "1") for _ in range(4)) if fault]
    assert kinds == ["refuse", "refuse", "stall", "stall"]
    assert [fault.used for fault in faults.in_force] == [2, 2]


@pytest.mark.parametrize("kind", FaultKind)
def test_every_fault_changes_the_answer(kind: FaultKind) -> None:
    assert _answer(Fault(kind), 1)[0] != _answer(None, 1)[0]
