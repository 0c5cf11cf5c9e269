"""Use cases of adoption: Redial takes over calls that the user's own code placed."""
