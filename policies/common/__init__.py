"""What all of the policies' room shares: batches, settings as dictionaries, tensor files."""
