"""One bucket's bytes: providers that turn credentials into an engine and answer the verbs."""
