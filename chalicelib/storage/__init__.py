"""The DynamoDB table: keys, items, and a store for each kind of item."""
