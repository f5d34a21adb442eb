"""The auditor: takes what is in the topics and at the providers, and says whether the promises hold.

Each promise is one module with one pure function from the evidence to what is broken. None of them asks the router:
what a promise means is worked out anew here, from the records, so that a mistake there can't hide itself.
"""
