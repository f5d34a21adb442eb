"""Pretend providers of every channel, with a page that shows what customers would get."""
