"""The agent: networks, losses, the phases and methods of training, and how an agent is kept in a file."""
