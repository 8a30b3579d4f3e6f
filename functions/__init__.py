"""One Lambda handler per trigger; wiring is the composition root."""
