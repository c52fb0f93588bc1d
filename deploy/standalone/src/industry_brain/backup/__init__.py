"""Backup of a home folder while the platform runs, its restoration elsewhere, and the proof that nothing differs."""
