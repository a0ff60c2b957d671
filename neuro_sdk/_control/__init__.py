"""The platform over HTTP: who asks, what is asked, what an answer means."""
