"""`regrasp review`: people look at judged episodes and agree or overturn.

The doubtful and the surprising ones come first (`ordering`).
"""
