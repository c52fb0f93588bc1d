"""Engines: where jobs run. `contract.py` says what an agent asks of one.

The local-process engine (`local.py`) runs jobs as processes of this machine, watched by a supervisor that outlives its
agent. `supervisor.py` and what it imports need the standard library only: it is a small process that forks once a job.
"""
