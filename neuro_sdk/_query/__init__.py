"""ENGINE: SQL over blobs. ``duck.py`` alone knows DuckDB."""
