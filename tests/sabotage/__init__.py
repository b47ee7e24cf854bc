"""Proof that the checks check: `python -m tests.sabotage` deletes each control in turn, and its test must go red."""
