"""Pure decisions of algorithm-dev: the card of a component, the check of its inputs, the golden comparison."""
