"""What a change of the agreement would have done to a month that is over: its archived events, folded under both.

In that order: period (a month), archive (stories from the store), report (what differs, counted), show (for people).
The folding and the comparison are in processors.whatif.
"""
