"""Commands that deploy a stage, provision its resources, and take it down."""
