"""Use cases that decide whether a dial may start now.

They are the pauses, the circuit breaker, the slots, the rate limits and the budgets.
"""
