"""A seeded synthetic industry cluster 合成数据: the same arguments give the same rows on every machine."""

from industry_brain.generator.cluster import SYNTHETIC_LABEL, Cluster, generate
from industry_brain.generator.organisations import Org

__all__ = ["SYNTHETIC_LABEL", "Cluster", "Org", "generate"]
