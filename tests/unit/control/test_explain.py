"""The answer of `clarion explain`: one event whole, several with a line each, facts for programs."""

import json

from services.control.explain import Question, Story, as_json, nothing_found, tell
from services.router.decision import ids
from services.router.decision.model import HOUR, Outcome, Reason, Verdict
from tests.unit.control.records import ID, NOON, SEND_ID, accepted, decision, feedback, not_sent


def story(*decisions: object) -> Story:
    return Story("northwind", "ana", "Europe/Berlin", tuple(decisions), (feedback(),))  # type: ignore[arg-type]


def test_one_event_is_told_whole() -> None:
    assert tell(story(decision())).splitlines()[0].startswith("oms/4711  com.northwind.order.error about order-4711")
    assert tell(story(decision())).endswith("-> accepted by smtp 14:00:00.050")


def test_several_events_have_a_line_each_and_a_way_on() -> None:
    other = not_sent(
        Reason.NO_ADDRESS,
        event_id="4712",
        subject="",
        decision_id=b"\x07" * 20,
        decided=NOON + HOUR,
        verdicts=(Verdict("email", Reason.NO_ADDRESS),),
    )
    duplicate = not_sent(Reason.DUPLICATE, Outcome.DUPLICATE, decision_id=b"\x08" * 20, rule="", customer="")
    assert tell(story(decision(), other, duplicate)).splitlines() == [
        "2026-11-21 14:00:00.012  oms/4711 about order-4711: SENT by email at 14:00:00.050: nothing stood against it.",
        "2026-11-21 15:00:00.000  oms/4712: NOT SENT (NO_ADDRESS): no address.",
        "The whole story of one: clarion explain --customer ana --event oms/4711",
    ]


def test_facts_have_names_for_words_and_text_for_ids() -> None:
    facts = json.loads(as_json(story(decision(verdicts=(Verdict("email", Reason.ALLOWED, "category"),)))))
    made = facts["decisions"][0]
    assert (made["outcome"], made["reason"], made["message_class"]) == ("SEND", "ALLOWED", "TRANSACTIONAL")
    assert made["decision_id"] == ids.text(ID)
    assert made["send_ids"] == [ids.text(SEND_ID)]
    assert made["verdicts"][0]["reason"] == "ALLOWED"
    assert facts["feedback"][0]["outcome"] == "ACCEPTED"


def test_an_event_that_waits_for_a_router_is_not_unknown() -> None:
    asked = Question("ana", "oms/4711")
    assert nothing_found(asked, "northwind", [], [accepted()], known=True) == (
        "oms/4711 was accepted 2026-11-21T13:00:00.000000Z (partition 3 offset 0) and is not decided yet:"
        " is a router running?"
    )
    assert nothing_found(asked, "northwind", [], [], known=True) == (
        "nothing was decided for ana of northwind yet: no event that names this customer has come"
    )
