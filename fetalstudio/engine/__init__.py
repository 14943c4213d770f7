"""Jobs, the process that runs them, and its client. Importing the client never imports torch."""
