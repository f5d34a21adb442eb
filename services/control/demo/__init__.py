"""The demo: a day at Northwind, a power company, on everything that is real but the providers."""
