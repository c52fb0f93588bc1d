"""Layer 4, 服务开放平台: the gateway and the web portal."""
