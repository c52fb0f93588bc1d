"""Pure decisions and values of compute scheduling."""
