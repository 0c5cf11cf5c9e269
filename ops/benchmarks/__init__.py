"""Benchmarks of Redial: cold starts, counted AWS usage, and costs."""
