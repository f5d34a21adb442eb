import asyncio

from services.senders.slots import Slots


async def test_all_free_slots_are_taken_at_once() -> None:
    slots = Slots(8)
    assert await slots.take(1.0) == 8
    assert slots.free == 0


async def test_a_turn_waits_for_a_fair_share() -> None:
    slots = Slots(8)
    await slots.take(1.0)
    async with asyncio.TaskGroup() as tasks:
        turn = tasks.create_task(slots.take(10.0))
        await asyncio.sleep(0)
        slots.give_back(1)
        for _ in range(5):
            await asyncio.sleep(0)
        assert not turn.done()
        slots.give_back(2)
    assert turn.result() == 3


async def test_turns_are_taken_in_order() -> None:
    slots = Slots(4)
    await slots.take(1.0)
    order = []

    async def turn(name: str) -> None:
        taken = await slots.take(10.0)
        order.append(name)
        await asyncio.sleep(0)
        slots.give_back(taken)

    async with asyncio.TaskGroup() as tasks:
        for name in "abc":
            tasks.create_task(turn(name))
        await asyncio.sleep(0)
        slots.give_back(4)
    assert order == ["a", "b", "c"]
    assert slots.free == 4


async def test_who_is_out_of_patience_takes_what_there_is() -> None:
    slots = Slots(8)
    await slots.take(1.0)
    slots.give_back(1)
    assert await slots.take(0.01) == 1
    assert await slots.take(0.01) == 0
