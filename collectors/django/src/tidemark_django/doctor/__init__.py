"""What ``python -m tidemark_django doctor`` does."""
