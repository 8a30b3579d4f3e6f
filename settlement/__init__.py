"""The use cases: read, decide purely, write once. Ports to the outside are protocols in this package."""
