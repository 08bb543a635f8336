"""Stand-ins for the clouds: HTTP servers that speak their wire protocols, so that unmodified SDKs work against them."""
