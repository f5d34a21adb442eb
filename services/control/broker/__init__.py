"""A real Kafka from packages: fetched, started, asked, stopped; without Docker and without Java installed."""
