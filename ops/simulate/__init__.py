"""The simulator: all of Redial under faults, in virtual time, checked by invariants."""
