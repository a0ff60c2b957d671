"""Files and trees between the local disk and a provider."""
