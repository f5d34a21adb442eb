"""The policy language, pure: what product teams write becomes one immutable value."""
