"""The contracts: one .avsc file per event and output, the wire format, and the Python types generated from them."""
