"""Database, events, objects, service factory, principals and telemetry shared by all services."""
