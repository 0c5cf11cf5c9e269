"""The simulator: all of Redial under faults, in virtual time.

Invariants check each run.
"""
