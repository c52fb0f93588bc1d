"""Lineage: where rows come from and what was made of them."""
