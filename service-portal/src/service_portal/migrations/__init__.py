"""Migrations of the gateway and the portal."""
