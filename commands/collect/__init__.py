"""`regrasp collect`: demonstrations, failures and prior data of the scripted experts."""
