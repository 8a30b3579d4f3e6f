"""DynamoDB, queues and objects."""
