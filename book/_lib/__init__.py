"""What only the book needs: style, charts and graphs of its figures, the ledger, the estimator lab, small worlds."""
