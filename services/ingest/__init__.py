"""The doors: events and customers come in here."""
