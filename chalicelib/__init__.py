"""The package of Redial. It has the name that Chalice deploys beside ``app.py``."""
