"""Use cases of data sets that are made from a query."""
