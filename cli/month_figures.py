"""The figures of a month, from an export of the ledger and nothing else: exact sums in minor units, by currency.

Amounts count in the month of their accounting date. What is owed is as of the month's last day.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from duckdb import DuckDBPyConnection

from billing.periods import Period, next_period
from infra.exports import read_manifests
from infra.exports.folders import LocalFolder
from infra.ledger_views import open_views
from ledger.money import Currency, minor_unit_exponent

# In basis points; a rating belongs to the last band that begins at or below it.
BANDS = {0: "0-19%", 2000: "20-39%", 4000: "40-59%", 6000: "60-79%", 8000: "80-100%"}
NOT_RATED = "not rated"
# As the view `ageing` names them.
NOT_DUE, NO_INVOICE = "not due", "no invoice"
AGES = (NOT_DUE, "1 to 30", "31 to 60", "61 to 90", "over 90", NO_INVOICE)


class NothingToReport(LookupError):
    """The export holds no entry of the month."""


@dataclass(frozen=True, slots=True)
class Source:
    """What a report was made from: runs of the export, the hash of the last manifest, and entries."""

    runs: int
    manifest: str
    entries: int
    entries_of_month: int
    recorded_until: datetime


@dataclass(frozen=True, slots=True)
class Outcomes:
    """How many resolutions came to what, as the entries of the month say; each by what it posted.

    `free` were settled at no charge by an included unit or the cap, `waived` by the contract's terms, at once or later.
    `reversed` were taken back because the customer came back. `rated` have a rating that counts, `rating_sum` is that
    of their ratings in basis points.
    """

    charged: int
    free: int
    waived: int
    reversed: int
    rated: int
    rating_sum: int

    @property
    def csat(self) -> Fraction | None:
        """The average rating in basis points; None if there is none."""
        return Fraction(self.rating_sum, self.rated) if self.rated else None


@dataclass(frozen=True, slots=True)
class Band:
    """Resolutions of a band of ratings, and what they are charged in all."""

    name: str
    resolutions: int
    charged: int


@dataclass(frozen=True, slots=True)
class Result:
    """Revenue, pay of experts and other costs of a day or a client."""

    revenue: int = 0
    pay: int = 0
    other_costs: int = 0

    @property
    def margin(self) -> int:
        """What is left."""
        return self.revenue - self.pay - self.other_costs


@dataclass(frozen=True, slots=True)
class Figures:
    """One currency. Days and clients are all that have an amount; None stands for no client.

    `payable` is owed to experts and not reserved: what can be paid at the end of the month, and `held` until a day
    behind it. `receivable` is what clients owe by days past due.
    """

    currency: Currency
    days: Mapping[date, Result]
    clients: Mapping[str | None, Result]
    bands: tuple[Band, ...]
    payable: int
    held: Mapping[date, int]
    in_transit: int
    receivable: Mapping[str, int]

    @property
    def total(self) -> Result:
        """The month."""
        sums = (sum(getattr(it, name) for it in self.days.values()) for name in ("revenue", "pay", "other_costs"))
        return Result(*sums)


@dataclass(frozen=True, slots=True)
class MonthFigures:
    """All that the report of a month says."""

    month: Period
    outcomes: Outcomes
    currencies: tuple[Figures, ...]
    source: Source


def last_day_of(month: Period) -> date:
    """The last day of a month."""
    return date.fromisoformat(f"{next_period(month)}-01") - timedelta(days=1)


def read_figures(folder: Path, month: Period) -> MonthFigures:
    """The figures of a month. Raises NothingToReport, and FileNotFoundError or ValueError as `open_export` does."""
    manifests = read_manifests(LocalFolder(folder))
    with open_views(folder, last_day_of(month)) as connection:
        connection.execute(_CYCLES, {"month": month})
        [(entries, of_month, until, first, last)] = connection.execute(_SOURCE, {"month": month}).fetchall()
        if not of_month:
            held = f"it holds {first} to {last}" if entries else "it is empty"
            raise NothingToReport(f"the export in {folder} has no entry of {month}; {held}")
        return MonthFigures(
            month=month,
            outcomes=Outcomes(*connection.execute(_OUTCOMES).fetchall()[0]),
            currencies=tuple(_figures(connection, month)),
            source=Source(len(manifests), manifests[-1].sha256(), entries, of_month, until),
        )


def _figures(connection: DuckDBPyConnection, month: Period) -> Iterator[Figures]:
    """Each currency that has an amount in the month, or in which something is owed at its end."""
    by_day, bands = connection.execute(_DAYS, {"month": month}).fetchall(), connection.execute(_BANDS).fetchall()
    by_client = connection.execute(_CLIENTS, {"month": month}).fetchall()
    liabilities = connection.execute(_LIABILITIES).fetchall()
    held, owed = connection.execute(_HELD).fetchall(), connection.execute(_AGEING).fetchall()
    for code in sorted({row[0] for rows in (by_day, by_client, liabilities, owed) for row in rows}):
        payable, in_transit = next((row[1:] for row in liabilities if row[0] == code), (0, 0))
        counted = {name: (count, charged) for currency, name, count, charged in bands if currency == code}
        yield Figures(
            currency=code,
            days={day: Result(*amounts) for currency, day, *amounts in by_day if currency == code},
            clients={
                client: Result(*(_minor(amount, code) for amount in amounts))
                for currency, client, *amounts in by_client
                if currency == code
            },
            bands=tuple(Band(name, *counted.get(name, (0, 0))) for name in (NOT_RATED, *BANDS.values())),
            payable=_minor(payable, code),
            held={day: minor for currency, day, minor in held if currency == code},
            in_transit=_minor(in_transit, code),
            receivable={age: minor for currency, age, minor in owed if currency == code},
        )


def _minor(amount: Decimal | int, code: Currency) -> int:
    """Minor units of what a view says in major ones."""
    return int(Decimal(amount).scaleb(minor_unit_exponent(code)))


# -- SQL ---------------------------------------------------------------------------------------------------------------

_SOURCE = """
    SELECT count(*), count(*) FILTER (WHERE month = $month), max(recorded_at), min(month), max(month) FROM entries
"""

# The entries that cycles posted in the month, each with what it charged.
_CYCLES = """
    CREATE TEMP TABLE posted_by_cycles AS
    WITH charged AS (
        SELECT
            book,
            seq,
            coalesce(max(currency) FILTER (account LIKE 'client/%'), max(currency)) AS currency,
            coalesce(sum(minor_units) FILTER (account LIKE 'client/%/unbilled'), 0)::BIGINT AS charge
        FROM postings
        WHERE month = $month AND case_id IS NOT NULL
        GROUP BY book, seq
    )
    SELECT
        book,
        seq,
        case_id,
        cycle,
        currency,
        charge,
        reason = 'settled' AS is_first,
        evidence ->> '$.why' AS why,
        (evidence ->> '$.rating')::BIGINT AS rating,
        evidence ->> '$.ordinal' IS NOT NULL AS is_priced,
        evidence ->> '$.discount' IS NOT NULL AS is_discounted,
        coalesce(why IN ('reopened', 'superseded', 'waiting'), false) AS is_taken_back
    FROM entries JOIN charged USING (book, seq)
"""

# A rating counts once for a cycle: that of its last entry.
_OUTCOMES = """
    WITH last_of_cycles AS (
        SELECT max_by(rating, seq) FILTER (rating IS NOT NULL) AS rating, max_by(is_taken_back, seq) AS is_taken_back
        FROM posted_by_cycles
        GROUP BY book, case_id, cycle
    )
    SELECT
        count(*) FILTER (is_first AND charge > 0),
        count(*) FILTER (is_first AND charge = 0 AND is_priced),
        count(*) FILTER (
            (is_first AND charge = 0 AND NOT is_priced)
            OR (NOT is_first AND NOT is_taken_back AND charge < 0 AND why <> 'charged' AND NOT is_discounted)
        ),
        count(*) FILTER (NOT is_first AND is_taken_back),
        (SELECT count(rating) FROM last_of_cycles WHERE NOT is_taken_back),
        (SELECT coalesce(sum(rating), 0)::BIGINT FROM last_of_cycles WHERE NOT is_taken_back)
    FROM posted_by_cycles
"""

_BANDS = f"""
    WITH cycles AS (
        SELECT
            max(currency) AS currency,
            max_by(rating, seq) FILTER (rating IS NOT NULL) AS rating,
            sum(charge)::BIGINT AS charged,
            max_by(is_taken_back, seq) AS is_taken_back
        FROM posted_by_cycles
        GROUP BY book, case_id, cycle
    )
    SELECT
        currency,
        CASE
            WHEN rating IS NULL THEN '{NOT_RATED}'
            {" ".join(f"WHEN rating >= {least} THEN '{name}'" for least, name in reversed(BANDS.items()))}
        END AS band,
        count(*),
        sum(charged)::BIGINT
    FROM cycles
    WHERE NOT is_taken_back
    GROUP BY currency, band
"""  # noqa: S608  # constants

_DAYS = """
    SELECT
        currency,
        effective_on,
        coalesce(-sum(minor_units) FILTER (account_kind = 'income'), 0)::BIGINT,
        coalesce(sum(minor_units) FILTER (account IN ('cost/base', 'cost/bonus', 'cost/incentive')), 0)::BIGINT,
        coalesce(
            sum(minor_units) FILTER (
                account_kind = 'expense' AND account NOT IN ('cost/base', 'cost/bonus', 'cost/incentive')
            ), 0
        )::BIGINT
    FROM postings
    WHERE month = $month AND account_kind IN ('income', 'expense')
    GROUP BY currency, effective_on
    ORDER BY currency, effective_on
"""

_CLIENTS = """
    SELECT currency, client, revenue, pay, other_costs
    FROM margin_by_client
    WHERE month = $month
    ORDER BY currency, revenue DESC, client
"""

_LIABILITIES = """
    SELECT currency, sum(payable), sum(in_transit) FROM expert_liabilities GROUP BY currency
"""

# What of that is held beyond the month: each movement until the day that its entry names.
_HELD = """
    SELECT postings.currency, (entries.evidence ->> '$.release_on')::DATE AS release_on, -sum(minor_units)::BIGINT
    FROM postings JOIN entries USING (book, seq)
    WHERE
        postings.account LIKE 'expert/%/payable'
        AND postings.effective_on <= (SELECT day FROM as_of)
        AND (entries.evidence ->> '$.release_on')::DATE > (SELECT day FROM as_of)
    GROUP BY postings.currency, release_on
    HAVING sum(minor_units) <> 0
    ORDER BY postings.currency, release_on
"""

_AGEING = """
    SELECT currency, bucket, sum(minor_units)::BIGINT FROM ageing GROUP BY currency, bucket
"""
