"""Pure parts of the gateway: plans, token buckets, quotas, usage."""
