"""Commands and tools that deploy, operate and measure Redial. None runs on Lambda."""
