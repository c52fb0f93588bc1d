"""Runtimes: SQL and ONNX, in a child process or, for approved models, in this one."""
