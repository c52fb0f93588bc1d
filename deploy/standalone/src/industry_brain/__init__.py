"""All services in one process, the cluster supervisor and the command line `brain`."""
