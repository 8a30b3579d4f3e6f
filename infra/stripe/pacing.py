"""How fast Stripe is called."""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import stripe as sdk


class Pacer:
    """Lets its callers go on one by one, at most `per_second` of them in any second, however many threads there are.

    Each waits until the one `per_second` places before it is a second ago, so that whoever was late catches up.
    """

    def __init__(
        self,
        per_second: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if per_second < 1:
            raise ValueError(f"{per_second} calls a second: give 1 or more, or None for no limit")
        self._clock, self._sleep = clock, sleep
        self._turn = threading.Lock()
        self._gone = deque[float](maxlen=per_second)

    def wait(self) -> None:
        """Return when it is the caller's turn."""
        with self._turn:
            while len(self._gone) == self._gone.maxlen and (early := self._gone[0] + 1 - self._clock()) > 0:
                self._sleep(early)
            self._gone.append(self._clock())


class PacedClient(sdk.RequestsClient):
    """The SDK's HTTP client, each of whose requests waits for its turn, retries too."""

    def __init__(self, pacer: Pacer, *, timeout: float) -> None:
        super().__init__(timeout=timeout)
        self._pacer = pacer

    def request(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  # the SDK's
        """One request, in its turn."""
        self._pacer.wait()
        return super().request(*args, **kwargs)
