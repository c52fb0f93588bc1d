"""Layer 2, 数据汇聚平台: contracts, pushes, warehouse tables and queries."""
