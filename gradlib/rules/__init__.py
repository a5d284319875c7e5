"""From an expectation to the expectation of its gradient, symbolically."""
