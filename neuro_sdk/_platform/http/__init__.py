"""The embedded platform behind HTTP, for a team: one application, what it takes, who may ask."""
