"""A page of a polled listing becomes facts, and the cursor of the page to ask for next. Pure."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from events.adapters.doors import Door, alternatives
from events.adapters.payloads import PayloadRefused, Refusal, Unreadable, find, parse, text_of
from events.adapters.rules import Field, Listing
from events.adapters.translate import Event, read_instant
from events.adapters.webhooks import items_in, read_items, refused
from events.facts import format_instant
from ledger.records import dataclass

_LONGEST_TOKEN = 500


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a poll is: listed since when, at which page, and the newest time seen on the pages before.

    All are texts as the system writes them; "" is the beginning. It is kept between polls as it is.
    """

    since: str = ""
    page: str = ""
    newest: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """What a page told, and where to go on: at once if `has_more`, else at the next poll."""

    facts: tuple[Event, ...]
    refused: tuple[PayloadRefused, ...]
    cursor: Cursor
    has_more: bool


def url_and_query(door: Door, name: str, cursor: Cursor) -> tuple[str, dict[str, str]]:
    """What to ask for at the cursor of the door's listing `name`: where, and the query, not yet percent-encoded."""
    listing = door.table.listings[name]
    since = cursor.since or listing.beginning
    known = {
        "since": f"{read_instant(since, _zone(door)) - timedelta(days=1):%Y-%m-%d}" if listing.by_day else since,
        "page": cursor.page or listing.first_page,
        "limit": str(listing.limit),
        "fields": ",".join(_asked(door, listing)),
    }
    query = {name: text.format_map(known) for name, text in listing.query.items()}
    return listing.url, {name: text for name, text in query.items() if text}


def read_page(door: Door, name: str, body: bytes, cursor: Cursor, now: datetime) -> Page:
    """The facts of a page of the door's listing `name`, asked for at `cursor`, and how to go on.

    An ordered listing goes on from the newest time of each page, any other is read to its last page before `since`
    moves; `since` includes its instant. So what is listed while pages are being read is not passed over, and what is
    read twice is the same facts with the same ids. Items that cannot be read are refused one by one.

    Raises PayloadRefused for a page that is no such listing; the cursor then stays where it was. Raises KeyError for a
    listing that the door's system does not have.
    """
    listing = door.table.listings[name]
    try:
        document = parse(body)
        items = _items(listing, document)
        newest = _newest(door, listing, items, cursor.newest)
        following = _next_page(listing, document, len(items), cursor)
    except Unreadable as error:
        raise refused(error, body) from None
    reading = read_items(door, listing.feed, document, {"@received": format_instant(now)})
    if following and listing.is_ordered and newest != cursor.since:
        after = Cursor(since=newest)
    elif following:
        after = replace(cursor, page=following, newest=newest)
    else:
        after = Cursor(since=newest or cursor.since, page=cursor.page if listing.resumes else "")
    return Page(reading.facts, reading.refused, after, has_more=bool(following))


def _items(listing: Listing, document: object) -> list[object]:
    items = [item for _, item in items_in(document, listing.feed)]
    if items == [None]:
        raise Unreadable(Refusal.MISSING, listing.feed.items)
    return items


def _next_page(listing: Listing, document: object, items: int, cursor: Cursor) -> str:
    """The page after this one; "" at the end."""
    if listing.next_page:
        token = text_of(find(document, listing.next_page))
        if len(token) > _LONGEST_TOKEN or not token.isprintable() or token == cursor.page != "":
            raise Unreadable(Refusal.WRONG_TYPE, listing.next_page)
        return token
    if not listing.page_step or items < listing.limit:
        return ""
    return str(int(cursor.page or listing.first_page) + listing.page_step)


def _newest(door: Door, listing: Listing, items: list[object], seen: str) -> str:
    """The latest of the times by which the listing advances, and of what was seen before, as the system writes it."""
    path = _path(door, listing, listing.newest) if isinstance(listing.newest, Field) else listing.newest
    if not path:
        return ""
    texts = [text_of(find(item, path)) for item in items]
    try:
        return max(filter(None, [*texts, seen]), key=lambda text: read_instant(text, _zone(door)), default="")
    except Unreadable as error:
        raise Unreadable(error.code, path) from None


def _asked(door: Door, listing: Listing) -> list[str]:
    """The names below `fields` in the paths of all that is looked for."""
    paths = [one for name in listing.feed.paths for one in alternatives(_path(door, listing, name))]
    return sorted({path.split(".")[1] for path in paths if path.startswith("fields.")})


def _path(door: Door, listing: Listing, name: Field) -> str:
    return door.fields.get(name) or listing.feed.paths[name]


def _zone(door: Door) -> tzinfo:
    return ZoneInfo(door.time_zone) if door.time_zone else UTC
