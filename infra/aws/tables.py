"""The DynamoDB tables as PynamoDB models. template.yaml creates them; names follow from the stack's name."""

from datetime import UTC, datetime
from typing import Any

from pynamodb.attributes import Attribute, BinaryAttribute, BooleanAttribute, NumberAttribute, UnicodeAttribute
from pynamodb.connection import Connection
from pynamodb.constants import NUMBER
from pynamodb.indexes import GlobalSecondaryIndex, KeysOnlyProjection
from pynamodb.models import Model

from infra.aws.connection import WireConnection


class MinorUnitsAttribute(Attribute[int]):
    """Whole minor units. A float or a bool is refused, which PynamoDB's own number would store."""

    attr_type = NUMBER

    def serialize(self, value: int) -> str:
        """The number as DynamoDB takes it."""
        if type(value) is not int:
            raise TypeError(f"money is whole minor units as an int, not {value!r}")
        return str(value)

    def deserialize(self, value: str) -> int:
        """The number as it was written; a fraction in the table is an error."""
        return int(value)


class CaseItem(Model):
    """One case: facts and cycles are JSON texts, read and written whole; long ones are `packed` together."""

    class Meta:
        """Bound by `bind`."""

        table_name = "cases"

    client_shard = UnicodeAttribute(hash_key=True)
    case_id = UnicodeAttribute(range_key=True)
    facts = UnicodeAttribute(null=True)
    cycles = UnicodeAttribute(null=True)
    packed = BinaryAttribute(legacy_encoding=False, null=True)
    evidence_only = UnicodeAttribute(null=True)
    mutual_reviews = UnicodeAttribute(null=True)
    revision = NumberAttribute()
    due_at = UnicodeAttribute(null=True)


class DueItem(Model):
    """A bucket of cases whose windows end together, by shard and by when the last ends. Put once, and then deleted."""

    class Meta:
        """Bound by `bind`."""

        table_name = "due"

    shard = UnicodeAttribute(hash_key=True)
    ends = UnicodeAttribute(range_key=True)
    client = UnicodeAttribute()
    cases = UnicodeAttribute()


class ExpertIndex(GlobalSecondaryIndex["EntryItem"]):
    """Entries that touch an expert, by date; others are not in it."""

    class Meta:
        """As template.yaml has it."""

        index_name = "expert"
        projection = KeysOnlyProjection()

    expert = UnicodeAttribute(hash_key=True)
    effective_seq = UnicodeAttribute(range_key=True)


class EntryItem(Model):
    """One entry of the journal. Put once, on condition that its place is free; never updated or deleted."""

    class Meta:
        """Bound by `bind`."""

        table_name = "ledger"

    book_shard = UnicodeAttribute(hash_key=True)
    seq = NumberAttribute(range_key=True)
    id = UnicodeAttribute()
    reason = UnicodeAttribute()
    postings = UnicodeAttribute()
    effective_on = UnicodeAttribute()
    recorded_at = UnicodeAttribute()
    evidence = UnicodeAttribute()
    content_hash = BinaryAttribute(legacy_encoding=False)
    chain_hash = BinaryAttribute(legacy_encoding=False)
    expert = UnicodeAttribute(null=True)
    effective_seq = UnicodeAttribute(null=True)
    by_expert = ExpertIndex()


class BookItem(Model):
    """The head of a book.

    Or, with seq 0, under `entry/<id>` the mark of an entry that may be posted only once, under `sums/<book>` what a
    book sums to up to a number, and under `lock` the last month that is locked for books that do not exist yet.
    """

    class Meta:
        """Bound by `bind`."""

        table_name = "books"

    book = UnicodeAttribute(hash_key=True)
    seq = NumberAttribute()
    chain_hash = BinaryAttribute(legacy_encoding=False, null=True)
    locked_through = UnicodeAttribute(null=True)
    sums = UnicodeAttribute(null=True)


class PeriodItem(Model):
    """One client's period with its counters; or, with the period `prepaid`, the client's credits."""

    class Meta:
        """Bound by `bind`."""

        table_name = "periods"

    client = UnicodeAttribute(hash_key=True)
    period = UnicodeAttribute(range_key=True)
    document = UnicodeAttribute()
    revision = NumberAttribute()


class HoldItem(Model):
    """What an expert is held until a day (kind `USD#hold#2026-10-08`), or can be paid (`USD#available`)."""

    class Meta:
        """Bound by `bind`."""

        table_name = "holds"

    expert = UnicodeAttribute(hash_key=True)
    kind = UnicodeAttribute(range_key=True)
    amount = MinorUnitsAttribute(default=0)
    released = BooleanAttribute(null=True)
    revision = NumberAttribute(null=True)


class UnfinishedPayouts(GlobalSecondaryIndex["PayoutItem"]):
    """Payouts that something is still to be done about."""

    class Meta:
        """As template.yaml has it."""

        index_name = "unfinished"
        projection = KeysOnlyProjection()

    unfinished = UnicodeAttribute(hash_key=True)
    payout_id = UnicodeAttribute(range_key=True)


class PayoutItem(Model):
    """One payout; or how far the planning of a `run/<run>` came, or what was `spent/<limit>`."""

    class Meta:
        """Bound by `bind`."""

        table_name = "payouts"

    payout_id = UnicodeAttribute(hash_key=True)
    document = UnicodeAttribute()
    revision = NumberAttribute()
    unfinished = UnicodeAttribute(null=True)
    by_unfinished = UnfinishedPayouts()


class UnfinishedInvoices(GlobalSecondaryIndex["InvoiceItem"]):
    """Invoices that something is still to be done about."""

    class Meta:
        """As template.yaml has it."""

        index_name = "unfinished"
        projection = KeysOnlyProjection()

    unfinished = UnicodeAttribute(hash_key=True)
    invoice_id = UnicodeAttribute(range_key=True)


class InvoiceItem(Model):
    """One client's invoice of one period."""

    class Meta:
        """Bound by `bind`."""

        table_name = "invoices"

    client = UnicodeAttribute(hash_key=True)
    period = UnicodeAttribute(range_key=True)
    invoice_id = UnicodeAttribute()
    document = UnicodeAttribute()
    revision = NumberAttribute()
    unfinished = UnicodeAttribute(null=True)
    by_unfinished = UnfinishedInvoices()


class WeekIndex(GlobalSecondaryIndex["ActivityItem"]):
    """Which items count in a week, by shard and expert; it is written once for each, however often that is added to."""

    class Meta:
        """As template.yaml has it."""

        index_name = "by_week"
        projection = KeysOnlyProjection()

    week_shard = UnicodeAttribute(hash_key=True)
    expert = UnicodeAttribute(range_key=True)


class ActivityItem(Model):
    """What an expert did by a plan in a week, what an incentive awarded, or that one expert reviewed another."""

    class Meta:
        """Bound by `bind`."""

        table_name = "activity"

    expert = UnicodeAttribute(hash_key=True)
    kind = UnicodeAttribute(range_key=True)
    week_shard = UnicodeAttribute(null=True)
    resolutions = NumberAttribute(null=True)
    rated = NumberAttribute(null=True)
    rating_sum = NumberAttribute(null=True)
    document = UnicodeAttribute(null=True)
    revision = NumberAttribute(null=True)
    by_week = WeekIndex()


class RegistryItem(Model):
    """A client, expert, contract (all versions), pay plan (all versions), or proposal of changed prices.

    Or an entry made by hand, from its proposal on, what was done of the close of a month, a door for a helpdesk, an
    endpoint of webhooks, or the last reconciliation.
    """

    class Meta:
        """Bound by `bind`."""

        table_name = "registry"

    kind = UnicodeAttribute(hash_key=True)
    id = UnicodeAttribute(range_key=True)
    document = UnicodeAttribute()
    revision = NumberAttribute()
    applied = UnicodeAttribute(null=True)


class PollItem(Model):
    """How far the polling of one listing of a door came: its cursor as JSON."""

    class Meta:
        """Bound by `bind`."""

        table_name = "polls"

    door = UnicodeAttribute(hash_key=True)
    listing = UnicodeAttribute(range_key=True)
    cursor = UnicodeAttribute()
    wait_until = UnicodeAttribute(null=True)
    revision = NumberAttribute()


class ParkedItem(Model):
    """Something that could not be decided."""

    class Meta:
        """Bound by `bind`."""

        table_name = "parked"

    parked_id = UnicodeAttribute(hash_key=True)
    client = UnicodeAttribute(null=True)
    reason = UnicodeAttribute()
    detail = UnicodeAttribute()
    parked_at = UnicodeAttribute()
    message = UnicodeAttribute(null=True)


class StripeEventItem(Model):
    """A webhook event that was dealt with; DynamoDB removes it after `expires_at` (epoch seconds)."""

    class Meta:
        """Bound by `bind`."""

        table_name = "stripe-events"

    event_id = UnicodeAttribute(hash_key=True)
    expires_at = NumberAttribute()


class AnnouncementItem(Model):
    """Something to tell the outside. Its stream feeds bus and webhooks; DynamoDB removes it after `expires_at`."""

    class Meta:
        """Bound by `bind`."""

        table_name = "announcements"

    subject = UnicodeAttribute(hash_key=True)
    announcement_id = UnicodeAttribute(range_key=True)
    type = UnicodeAttribute()
    client = UnicodeAttribute()
    at = UnicodeAttribute()
    data = UnicodeAttribute()
    expires_at = NumberAttribute()


class RequestItem(Model):
    """Calls of the API: how many a tenant made in a minute, or what a POST answered to an Idempotency-Key.

    DynamoDB removes it after `expiration` (epoch seconds).
    """

    class Meta:
        """Bound by `bind`."""

        table_name = "requests"

    id = UnicodeAttribute(hash_key=True)
    expiration = NumberAttribute()
    calls = NumberAttribute(null=True)


class DeliveryItem(Model):
    """How the delivery of a webhook to an endpoint went; DynamoDB removes it after `expires_at` (epoch seconds)."""

    class Meta:
        """Bound by `bind`."""

        table_name = "deliveries"

    endpoint = UnicodeAttribute(hash_key=True)
    webhook = UnicodeAttribute(range_key=True)
    type = UnicodeAttribute()
    state = UnicodeAttribute()
    attempts = NumberAttribute()
    why = UnicodeAttribute()
    tried_at = UnicodeAttribute()
    expires_at = NumberAttribute()


TABLES: tuple[type[Model], ...] = (
    CaseItem,
    DueItem,
    EntryItem,
    BookItem,
    PeriodItem,
    HoldItem,
    PayoutItem,
    InvoiceItem,
    ActivityItem,
    RegistryItem,
    PollItem,
    ParkedItem,
    StripeEventItem,
    AnnouncementItem,
    DeliveryItem,
    RequestItem,
)


def sortable(instant: datetime) -> str:
    """The instant in UTC with all its digits, so that keys sort like times."""
    return instant.astimezone(UTC).isoformat(timespec="microseconds")


def bind(stack: str, *, region: str | None = None, host: str | None = None) -> Connection:
    """Let the models stand for the tables of a stack, such as `solvent-cases`; may be called again for another.

    All tables share the connection that is returned. `host` is the endpoint of the embedded stack; without it boto's
    own configuration says where AWS is.
    """
    shared = WireConnection(region=region, host=host, max_retry_attempts=5)
    for table in TABLES:
        meta: Any = table.Meta
        meta.suffix = getattr(meta, "suffix", meta.table_name)
        meta.table_name, meta.region, meta.host = f"{stack}-{meta.suffix}", region, host
        table._connection = None  # noqa: SLF001  # PynamoDB would keep the connection of the first use
        own = table._get_connection()  # noqa: SLF001  # and would open a client for each table
        shared.add_meta_table(own.get_meta_table())
        own.connection = shared
    return shared
