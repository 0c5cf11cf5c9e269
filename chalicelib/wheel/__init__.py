"""The timing wheel: at most a few hundred one-shot alarms for any number of pending calls."""

from chalicelib.wheel import plan
from chalicelib.wheel.alarms import AlarmNotSet, Alarms, RuleAlarms, SchedulerAlarms

__all__ = ["AlarmNotSet", "Alarms", "RuleAlarms", "SchedulerAlarms", "plan"]
