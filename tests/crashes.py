"""Crashes at every boundary: before or after any write, and any call to Stripe."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count


class Crash(BaseException):
    """The process ends here."""


@dataclass
class CrashPoints:
    """Crash at the n-th boundary: before or after any write and any call to Stripe."""

    at: int
    seen: Iterator[int] = field(default_factory=count)

    def passing(self) -> None:
        if next(self.seen) == self.at:
            raise Crash

    def around(self, call: Callable[..., object]) -> Callable[..., object]:
        def guarded(*args: object, **kwargs: object) -> object:
            self.passing()
            answer = call(*args, **kwargs)
            self.passing()
            return answer

        return guarded
