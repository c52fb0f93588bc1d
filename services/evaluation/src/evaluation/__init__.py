"""Evaluation 评价: the official indicator sets, their values and their scores."""
