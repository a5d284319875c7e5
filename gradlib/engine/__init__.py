"""From an expectation to a number with a standard error."""
