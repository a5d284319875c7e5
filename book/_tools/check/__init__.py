"""What is checked beside the tests: the stored notebooks, and the built pages as a browser gets them."""
