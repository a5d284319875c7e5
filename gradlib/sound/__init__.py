"""When a rule may be used: jumps of the integrand and moving edges of the support."""
