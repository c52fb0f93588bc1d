"""The data plane: one door in front of every service."""

from service_portal.gateway.app import Gateway

__all__ = ["Gateway"]
