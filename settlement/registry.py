"""The registry: clients and experts as data. Contracts and pay plans are billing's and payouts'."""

from datetime import date
from enum import StrEnum
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from events.facts import OwnerId, Slug
from ledger.terms import Percent, Terms, exact_percent


class Client(Terms):
    """A business that buys resolutions. `stripe_customer` is put in when its first invoice is issued."""

    id: OwnerId
    name: Annotated[str, Field(min_length=1, max_length=200)]
    email: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$", max_length=320)]
    stripe_customer: str | None = None


class Gate(StrEnum):
    """What must have been done before an expert is paid; earnings accrue without."""

    CONTRACT_SIGNED = "contract_signed"
    BACKGROUND_CHECK = "background_check"
    TRAINING = "training"
    TAX_FORM = "tax_form"


class Expert(Terms):
    """A gig worker. `assignments` say which clients they work for, and by which pay plan.

    `gates` hold the day on which each gate was passed. `withholding_percent` of every payout goes to the tax office
    (24 for backup withholding in the US, 26 U.S.C. 3406). `referred_by` is the expert who brought them: nobody else can
    be rewarded for that. `stripe_account` is put in when the account is made.
    """

    id: OwnerId
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    email: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$", max_length=320)]
    assignments: dict[OwnerId, Slug]
    gates: dict[Gate, date] = Field(default_factory=dict)
    withholding_percent: Percent = "0"
    referred_by: OwnerId | None = None
    stripe_account: str | None = None

    @field_validator("withholding_percent")
    @classmethod
    def _leaves_something(cls, percent: str) -> str:
        if exact_percent(percent) >= 1:
            raise ValueError("is less than 100")
        return percent

    @field_validator("referred_by")
    @classmethod
    def _is_another(cls, referrer: str | None, info: ValidationInfo) -> str | None:
        if referrer is not None and referrer == info.data.get("id"):
            raise ValueError(f"{referrer} cannot have referred themselves")
        return referrer

    def missing_gates(self, as_of: date) -> tuple[Gate, ...]:
        """The gates not passed by `as_of` (inclusive), in the order in which they are asked."""
        return tuple(gate for gate in Gate if self.gates.get(gate, date.max) > as_of)
