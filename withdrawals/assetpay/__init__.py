"""AssetPay's public API in plain Python: what it says, how it signs, what may be asked of it.

Nothing here knows Django, a database, a setting or the clock; every moment and every secret is handed in.
"""
