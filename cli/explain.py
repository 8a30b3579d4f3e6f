"""`solvent finance explain`: the story of a case, for people and for programs."""

from datetime import datetime

from rich.console import Console

from cli.printing import DONE, FAILED, REFUSED, refused, say
from ledger.errors import BookBroken
from settlement.explain import CaseUnknown, EntriesMissing, Story, StoryStore, describe_story, explain, find_case
from settlement.ports import Registry
from settlement.sentences import at


def explain_case(
    store: StoryStore,
    registry: Registry,
    wanted: tuple[str, str | None, datetime],
    console: Console,
    *,
    as_json: bool,
) -> int:
    """Print the story of a case; `wanted` is its id, the client or None, and now.

    2 for a case that nobody knows, 1 if the books do not hold what the case counts.
    """
    case_id, client, as_of = wanted
    try:
        case = find_case(store, registry, case_id, client)
        contracts = registry.contracts([case.client])[case.client]
        story = explain(store, contracts, case, as_of)
    except CaseUnknown as unknown:
        return refused(unknown, console, REFUSED)
    except (EntriesMissing, BookBroken) as broken:
        return refused(broken, console, FAILED)
    if as_json:
        console.print_json(data=describe_story(story))
    else:
        _show(story, console)
    return DONE


def _show(story: Story, console: Console) -> None:
    say(f"Case {story.case.case_id} of {story.case.client}, times in UTC", console)
    for told in story.told:
        first, *more = told.sentences
        say(f"\n{at(told.at)}  {first}", console)
        for sentence in more:
            say(f"{'':19}  {sentence}", console)
    say(f"\nNow, at {at(story.as_of)}", console)
    for sentence in story.outcome():
        say(f"{'':19}  {sentence}", console)
