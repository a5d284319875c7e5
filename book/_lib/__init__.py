"""What only the book needs: the style of its figures, its charts and graphs, the ledger, the estimator lab, small worlds."""
