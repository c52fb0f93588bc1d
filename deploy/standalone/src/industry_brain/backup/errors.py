"""Why a backup, a restoration or a comparison did not take place."""

from __future__ import annotations


class BackupRefused(Exception):
    """What was asked cannot be done; the text says why and what to do. Nothing was changed."""
