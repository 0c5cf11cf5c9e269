"""The timing wheel: a few hundred triggers for any number of pending calls."""

from chalicelib.wheel import plan
from chalicelib.wheel.triggers import RuleTriggers, SchedulerTriggers, Triggers, WakeNotSet

__all__ = ["RuleTriggers", "SchedulerTriggers", "Triggers", "WakeNotSet", "plan"]
