"""AssetPay's stand-in: a separate process that speaks its HTTP, keeps its rules, signs its callbacks."""
