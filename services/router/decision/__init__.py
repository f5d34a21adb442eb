"""The pure decision core: the same inputs give the same bytes in any process."""
