"""The request formats of the vendors and of Redial, each translated into a Policy."""
