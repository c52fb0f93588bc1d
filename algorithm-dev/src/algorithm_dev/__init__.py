"""Layer 3 算法开发平台: capability components, their registry and their runs."""
