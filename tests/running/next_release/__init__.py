"""What a next release could bring: an expanding migration, for the story of a deploy under load."""
