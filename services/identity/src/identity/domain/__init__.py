"""Pure decisions of identity: codes, keys, passwords, states and the audit chain."""
