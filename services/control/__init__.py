"""What people steer with: the `clarion` command line."""
