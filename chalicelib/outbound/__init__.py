"""Requests to web addresses of users, which must not reach into the deployment."""
