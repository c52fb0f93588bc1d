"""Pure decisions and values of the data hub."""
