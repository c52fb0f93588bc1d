"""Pure decisions: the sets as data, what a computation answered, scores, comparisons."""
