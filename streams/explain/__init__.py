"""One lead's story in order, and why every clock stands as it stands, in words that sales and marketing both understand.

`stored` and `heard` read: the store, which is what holds, and the log, which has the events. `retell`, `words` and `story`
are pure: they make the story of what was read. `show` puts it on a screen.
"""
