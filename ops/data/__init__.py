"""Commands for a stage's data: keys, settings, opt-outs, pauses, dead letters."""
