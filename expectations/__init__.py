"""Great Expectations: one suite a contract (`suites/*.json`), and the gate that runs them.

Suites judge content (ranges, keys, rates); shape belongs to `footfall.contracts`, movement to `monitoring`.
"""
