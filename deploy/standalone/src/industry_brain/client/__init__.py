"""The Python client `brain-client`, made from the merged OpenAPI document.

`runtime` is written by hand and copied; `generate` writes the typed calls beside it.
"""
