"""Doors for helpdesks beside each other: what keeps one from being registered. Pure."""

from collections.abc import Container, Iterator, Mapping, Sequence

from events.adapters.doors import Door, door_problems
from ledger.terms import FieldPath
from settlement.web_addresses import AddressRefused, target_of


def check_doors(
    known: Mapping[str, Door], new: Sequence[Door], clients: Container[str]
) -> Iterator[tuple[int, FieldPath, str]]:
    """What is wrong with new doors beside the known ones: the position of one, its field, and what to do.

    What case ids are made of stays: a case that came under two ids would be charged twice.
    """
    for position, door in enumerate(new):
        if door.client not in clients:
            yield position, ("client",), f"there is no client {door.client}"
        if door.poll is not None and (refused := _refused(door.poll.address)):
            yield position, ("poll", "address"), refused
        old = known.get(door.id)
        if old is not None and _made_of(old) != _made_of(door):
            what = f"{door.id} makes cases {_said(old)}, and that stays; give the new one another id"
            yield position, ("id",), what
    named = {door.id for door in new}
    kept = [door for door in known.values() if door.id not in named]
    for position, path, what in door_problems([*kept, *new]):
        if position >= len(kept) and path != ("id",):  # that one is described twice is found with every kind
            yield position - len(kept), path, what


def _refused(address: str) -> str:
    try:
        target_of(address)
    except AddressRefused as refused:
        return str(refused)
    return ""


def _made_of(door: Door) -> tuple[str, str, str]:
    return door.client, door.source, door.prefix


def _said(door: Door) -> str:
    return f"of {door.client} from {door.source}, as {door.prefix}<id>"
