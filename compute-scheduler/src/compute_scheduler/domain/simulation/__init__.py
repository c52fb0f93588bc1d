"""The plan tried on recorded or made-up jobs: what a policy would have done, beside a plain reference."""
