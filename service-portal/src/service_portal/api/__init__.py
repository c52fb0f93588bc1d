"""HTTP routes of the control plane."""

from service_portal.api.control import control_routes
from service_portal.api.desk import desk_routes
from service_portal.api.operation import operation_app

__all__ = ["control_routes", "desk_routes", "operation_app"]
