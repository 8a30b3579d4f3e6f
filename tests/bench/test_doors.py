"""The load on the doors, a short part of it; `python -m bench --only doors` plays all."""

from bench.doors import RATE, SECONDS, load, planned


def test_the_plan_has_every_event_once_in_order_of_time_and_at_its_rate() -> None:
    requests = planned(RATE, SECONDS)
    numbers = [number for request in requests for number in request.numbers]
    assert numbers == list(range(RATE * SECONDS))
    assert [it.at for it in requests] == sorted(it.at for it in requests)
    assert requests[-1].at < SECONDS
    by_webhook = sum(len(it.numbers) for it in requests if it.by_webhook)
    assert by_webhook * 5 == len(numbers)


def test_of_a_load_on_the_doors_nothing_is_lost_doubled_or_left_without_an_answer() -> None:
    found = load(rate=300, seconds=5)
    assert (found.lost, found.doubled, found.unaccounted, found.given_up) == (0, 0, 0, {})
    assert len(found.accepted) + len(found.refused) == 1500
    assert set(found.refused.values()) == {"event_refused", "unauthenticated"}
    assert found.charged == len(found.accepted)
