"""What is differentiated: random variables, their laws, and expectations over them."""
