"""The project's documents, and the generator of their tables."""
