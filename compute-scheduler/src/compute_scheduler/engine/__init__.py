"""The local-process engine: jobs as processes of this machine, watched by a supervisor that outlives its agent.

Nothing here imports more than the standard library: the supervisor is a small process that forks once a job.
"""
