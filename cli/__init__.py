"""The solvent command."""
