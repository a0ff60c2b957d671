"""ENGINE: file-like work at one place that knows what it made, and can take it away again."""
