"""The transactional processor that router and senders run on."""
