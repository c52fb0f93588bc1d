"""Layer 1: compute scheduling 算力调度平台."""
