"""One Lambda handler per trigger; wiring is the composition root."""

import gc

# An import makes up to 120,000 objects and next to no garbage. By default Python looks for it at every 700th.
gc.set_threshold(200_000)
