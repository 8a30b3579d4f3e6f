"""A simulated month as an export: every kind of entry that the engine posts, in several currencies."""

from dataclasses import dataclass
from pathlib import Path

from functions import wiring
from infra.exports import export_ledger
from ledger.entries import Entry
from tests.simulation.simulation import Simulation

SEED, RESOLUTIONS = 5, 120
_NEVER = 10**9


@dataclass(frozen=True)
class Month:
    """The folder of an export, and the entries that it was made from."""

    folder: Path
    entries: tuple[Entry, ...]


def simulated_month(folder: Path) -> Month:
    """Play a month without faults, and export its ledger to the folder."""
    entries: list[Entry] = []

    def export(_: Simulation, is_at_rest: bool) -> None:  # noqa: FBT001  # as the simulation calls it
        if is_at_rest:
            store = wiring.store()
            export_ledger(store, folder)
            entries.extend(it.entry for head in store.heads() for it in store.entries(head.book))

    Simulation(SEED, RESOLUTIONS, fault_rate=0, check=export, check_every=_NEVER).run()
    return Month(folder, tuple(entries))
