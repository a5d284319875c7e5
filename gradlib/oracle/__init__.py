"""From an expectation to its exact value. Shares no code path with the engine."""
