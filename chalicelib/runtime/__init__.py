"""The runtime of the Lambdas: settings, secrets, providers, log and metrics."""
