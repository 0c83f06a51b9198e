"""Says what is right, and how far off a result may be; nothing here asks a backend."""
